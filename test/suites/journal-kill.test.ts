import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { FactJournal } from '../../src/journal/index.ts';
import { systemClock } from '../../src/ops/index.ts';
import { createRunFolder } from '../programs/run-folder.ts';

const WRITER = fileURLToPath(new URL('../programs/fact-writer.ts', import.meta.url));
const KILLS = Number(process.env['KILLS'] ?? 8);

describe(`a journal whose process is killed (KILLS=${KILLS})`, () => {
  const folder = createRunFolder();
  const file = path.join(folder.path, 'facts.journal');
  afterAll(() => folder.remove());

  it(
    'has every fact it acknowledged, and none that was not noted',
    async () => {
      const acknowledged = new Map<string, number>();
      const tried = new Map<string, number>();
      let highest = 0;
      let count = 0;
      for (let run = 0; run < KILLS; run++) {
        for await (const [what, key = '', revision = 0] of writeAndKill(file, highest)) {
          if (what === 'open') continue;
          highest = Math.max(highest, Number(revision));
          (what === 'ack' ? acknowledged : tried).set(key, Number(revision));
          if (what === 'ack') count++;
        }
        const found = await readJournal(file);
        for (const [key, revision] of acknowledged) {
          expect([revision, tried.get(key)], `fact ${key}`).toContain(found.get(key));
        }
        expect([...found.keys()].filter((key) => !tried.has(key))).toEqual([]);
        for (const [key, revision] of found) acknowledged.set(key, revision);
      }
      expect(count).toBeGreaterThan(KILLS);
    },
    30_000 + KILLS * 8_000,
  );
});

async function readJournal(file: string): Promise<ReadonlyMap<string, number>> {
  const journal = await FactJournal.open({ path: file, trustDomain: 'a.test', clock: systemClock });
  const found = new Map<string, number>();
  for await (const { key, revision, value } of journal.facts()) {
    const said =
      value === undefined ? revision : Number.parseInt(Buffer.from(value).toString(), 10);
    // A fact with another's value is none.
    if (said === revision) found.set(key, revision);
  }
  await journal.close();
  return found;
}

/** What the writer said until it was killed, at any instant. */
async function* writeAndKill(file: string, from: number): AsyncGenerator<readonly string[]> {
  const child = spawn(process.execPath, [WRITER, file, String(from)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const maxLines = 1 + Math.floor(Math.random() * 6_000);
  let lines = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    yield line.split(' ');
    if (++lines === maxLines) child.kill('SIGKILL');
  }
}
