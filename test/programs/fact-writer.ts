/**
 * Notes facts in the journal of the first argument until it is killed. `try KEY REVISION` on standard
 * output before a fact is noted, `ack KEY REVISION` once it is on disk.
 */
import { writeSync } from 'node:fs';
import { FactJournal } from '../../src/journal/index.ts';
import { systemClock } from '../../src/ops/index.ts';

const WRITERS = 16;
const KEYS_PER_WRITER = 20;
const ERA = '0123456789abcdef';

const [path, first] = process.argv.slice(2);
if (path === undefined || first === undefined)
  throw new Error('usage: fact-writer.ts PATH REVISION');

let revision = Number(first);
const journal = await FactJournal.open({ path, trustDomain: 'a.test', clock: systemClock });
await journal.note([{ type: 'era', era: ERA }]);
writeSync(1, 'open\n');
await Promise.all(Array.from({ length: WRITERS }, (_, writer) => noteForever(writer)));

async function noteForever(writer: number): Promise<never> {
  for (let n = 0; ; n++) {
    const key = `w${writer}.k${n % KEYS_PER_WRITER}`;
    const own = ++revision;
    const value = n % 7 === 6 ? undefined : Buffer.from(`${own} ${'x'.repeat((n * 37) % 20_000)}`);
    writeSync(1, `try ${key} ${own}\n`);
    await journal.note([
      { type: 'fact', bucket: 'agents', key, era: ERA, revision: own, expiresAt: undefined, value },
    ]);
    writeSync(1, `ack ${key} ${own}\n`);
  }
}
