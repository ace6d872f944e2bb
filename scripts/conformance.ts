/** `npm run conformance`: which keys of the checklist the tests name, and which not. */
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type ConformanceKey, formatChecklist, loadChecklist } from './conformance-checklist.ts';
import { findTitledTests, type TitledTest } from './conformance-titles.ts';

const USAGE = `Counts the conformance keys that test titles name.

  npm run conformance                          keys of the parts that are finished
  npm run conformance -- --milestone tokens    keys of one part
  npm run conformance -- --all                 every key
  npm run conformance -- --output json         for machines
  npm run conformance -- --write-docs          writes docs/reference/conformance.md

Exit code 1 if a chosen key is not covered, or a title names a key that does not exist.`;

/** Every key of these is to be shown by a test. */
const finished: readonly string[] = ['spine', 'federation', 'authz'];

const root = new URL('../', import.meta.url);
const docsFile = new URL('docs/reference/conformance.md', root);

const { values: flags } = parseArgs({
  options: {
    milestone: { type: 'string' },
    all: { type: 'boolean', default: false },
    output: { type: 'string', default: 'text' },
    'write-docs': { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

process.exitCode = main();

function main(): number {
  const { groups, keys } = loadChecklist();
  const milestones = new Set(keys.map(({ milestone }) => milestone));
  if (flags.help) return print(USAGE);
  const parts = flags.milestone === undefined ? finished : [flags.milestone];
  if (!parts.every((part) => milestones.has(part))) {
    return fail(`--milestone is one of ${[...milestones].join(', ')}; got ${flags.milestone}`);
  }
  if (flags.output !== 'text' && flags.output !== 'json') {
    return fail(`--output is text or json; got ${flags.output}`);
  }
  if (flags['write-docs']) {
    writeFileSync(docsFile, formatChecklist({ groups, keys }));
    return print('wrote docs/reference/conformance.md');
  }
  const tests = loadTests(new Set(groups.map(({ prefix }) => prefix)));
  const chosen = keys.filter(({ milestone }) => flags.all || parts.includes(milestone));
  return report(chosen, keys, tests);
}

function loadTests(prefixes: ReadonlySet<string>): TitledTest[] {
  const files = globSync(['src/**/*.test.ts', 'test/**/*.ts'], { cwd: root });
  return files
    .sort()
    .flatMap((file) => findTitledTests(file, readFileSync(new URL(file, root), 'utf8'), prefixes));
}

function report(
  chosen: readonly ConformanceKey[],
  all: readonly ConformanceKey[],
  tests: readonly TitledTest[],
): number {
  const testsOf = Map.groupBy(
    tests.flatMap((test) => test.keys.map((key) => ({ key, test }))),
    ({ key }) => key,
  );
  const known = new Set(all.map(({ key }) => key));
  const unknown = [...testsOf.keys()].filter((key) => !known.has(key));
  const covered = chosen.filter(({ key }) => testsOf.has(key));
  const uncovered = chosen.filter(({ key }) => !testsOf.has(key));
  if (flags.output === 'json') {
    const describe = ({ key }: ConformanceKey) => ({
      key,
      tests: (testsOf.get(key) ?? []).map(({ test: { file, title } }) => ({ file, title })),
    });
    print(JSON.stringify({ covered: covered.map(describe), uncovered, unknown }, null, 2));
  } else {
    for (const { key } of covered) print(`  ok  ${key}  ${testsOf.get(key)?.length} tests`);
    for (const { key, level, text } of uncovered) print(`  --  ${key}  ${level} ${text}`);
    for (const key of unknown) print(`  ??  ${key}  is no key of the checklist`);
    print(`${covered.length} of ${chosen.length} keys covered, ${uncovered.length} not`);
  }
  return uncovered.length + unknown.length === 0 ? 0 : 1;
}

function print(line: string): number {
  console.log(line);
  return 0;
}

function fail(message: string): number {
  console.error(message);
  return 2;
}
