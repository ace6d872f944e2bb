/** `npm run architecture`: draws ARCHITECTURE.md's map of rooms from the allowed imports. */
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { replaceMarked } from './marked-text.ts';
import { drawRooms } from './room-map.ts';

const USAGE = `npm run architecture [-- --check]

Writes the map of rooms in ARCHITECTURE.md from the allowed imports in .dependency-cruiser.mjs.
With --check it writes nothing and fails when the map is stale.`;

const root = new URL('../', import.meta.url);
const file = new URL('ARCHITECTURE.md', root);

/** The two rooms that nobody imports as a whole have no index. */
const withoutIndex: Readonly<Record<string, string>> = {
  app: 'The only place that constructs and connects.',
  cli: 'Commands and printing only.',
};

const { values } = parseArgs({
  options: {
    check: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

process.exitCode = await main();

async function main(): Promise<number> {
  if (values.help) return print(USAGE);
  const map: { rooms: Readonly<Record<string, readonly string[]>> } = await import(
    new URL('.dependency-cruiser.mjs', root).href
  );
  const old = readFileSync(file, 'utf8');
  const fresh = replaceMarked(old, 'rooms', drawRooms(map.rooms, responsibilityOf));
  if (fresh === old) return print('ARCHITECTURE.md is up to date');
  if (values.check) {
    process.stderr.write('ARCHITECTURE.md is stale: run `npm run architecture` and commit it\n');
    return 1;
  }
  writeFileSync(file, fresh);
  return print('wrote ARCHITECTURE.md');
}

function print(text: string): number {
  process.stdout.write(`${text}\n`);
  return 0;
}

/** The first line of a room's index. */
function responsibilityOf(room: string): string {
  const known = withoutIndex[room];
  if (known !== undefined) return known;
  const first = readFileSync(new URL(`src/${room}/index.ts`, root), 'utf8').split('\n')[0] ?? '';
  const sentence = first.match(/^\/\*\* (.+) \*\/$/)?.[1];
  if (sentence === undefined)
    throw new Error(`src/${room}/index.ts does not begin with /** ... */`);
  return sentence;
}
