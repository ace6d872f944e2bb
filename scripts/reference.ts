/** `npm run reference`: writes the generated pages of docs/reference. */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { buildPages, readPage } from './reference-pages.ts';

const USAGE = `npm run reference [-- --check]

Writes the pages of docs/reference that follow from the source: the configuration's options, JSON
Schema and example file, the command line, the error codes, the metrics, what the linter of Envoy knows.
With --check it writes nothing and fails when a page is stale.`;

const { values } = parseArgs({
  options: {
    check: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

process.exitCode = await main();

async function main(): Promise<number> {
  if (values.help) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  const pages = await buildPages();
  const stale = [...pages].filter(([file, text]) => readPage(file) !== text);
  for (const [file, text] of stale) {
    if (!values.check) writeFileSync(new URL(`../${file}`, import.meta.url), text);
    process.stdout.write(`${values.check ? 'stale' : 'wrote'}: ${file}\n`);
  }
  if (values.check && stale.length > 0) {
    process.stderr.write('run `npm run reference` and commit what it writes\n');
    return 1;
  }
  process.stdout.write(`${pages.size} pages of docs/reference are up to date\n`);
  return 0;
}
