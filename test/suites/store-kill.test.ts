import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TrustDomain } from '../../src/spiffe/trust-domain.ts';
import { openSqliteStore, type Store, type StoredRecord } from '../../src/store/index.ts';
import { FakeClock } from '../fakes/fake-clock.ts';

const WRITER = fileURLToPath(new URL('../programs/store-writer.ts', import.meta.url));
const KILLS = Number(process.env['KILLS'] ?? 25);
const SEED = Number(process.env['SEED']);

/** What is known of a key: its state when last acknowledged, and what was tried since. */
interface Known {
  value: string;
  revision: number;
  tried: string | undefined;
}

describe(`a store whose process is killed (KILLS=${KILLS} SEED=${SEED})`, () => {
  let folder: string;
  const known = new Map<string, Known>();
  let lastRevision = 0;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'trustplane-kill-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it(
    'has everything it acknowledged, at any instant',
    async () => {
      const random = createRandom(SEED);
      let acknowledged = 0;
      for (let run = 0; run < KILLS; run++) {
        acknowledged += await writeAndKill(join(folder, 'store.db'), run, random, learn);
        await withStore(join(folder, 'store.db'), async (store) => {
          const { records, revision } = await store.bucket('tokens').list('');
          expect(revision).toBeGreaterThanOrEqual(lastRevision);
          lastRevision = revision;
          checkRecords(records);
        });
      }
      expect(acknowledged).toBeGreaterThan(KILLS);
      console.log(`${KILLS} kills, ${acknowledged} acknowledged writes, seed ${SEED}`);
    },
    30_000 + KILLS * 3000,
  );

  function learn(line: string): void {
    const [what, key = '', value = '', revision = ''] = line.split(' ');
    const state = known.get(key) ?? { value: '-', revision: 0, tried: undefined };
    if (what === 'try') known.set(key, { ...state, tried: value });
    if (what !== 'ack') return;
    const written = Number(revision) || state.revision;
    lastRevision = Math.max(lastRevision, written);
    known.set(key, { value, revision: written, tried: undefined });
  }

  function checkRecords(records: readonly StoredRecord[]): void {
    const found = new Map(records.map((record) => [record.key, record]));
    for (const [key, { value, revision, tried }] of known) {
      const record = found.get(key);
      const actual = record === undefined ? '-' : Buffer.from(record.value).toString();
      expect([value, tried], `the value of ${key}`).toContain(actual);
      expect(record?.revision ?? revision).toBeGreaterThanOrEqual(revision);
      known.set(key, { value: actual, revision: record?.revision ?? revision, tried: undefined });
    }
    expect([...found.keys()].filter((key) => !known.has(key))).toEqual([]);
  }
});

/** Runs the writer, kills it at a random instant, and returns how many writes it acknowledged. */
async function writeAndKill(
  path: string,
  run: number,
  random: () => number,
  learn: (line: string) => void,
): Promise<number> {
  const child = spawn(process.execPath, [WRITER, path, String(run)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const kill = (): boolean => child.kill('SIGKILL');
  // Every third run dies while it starts, the others after some writes.
  const maxLines = run % 3 === 2 ? Number.POSITIVE_INFINITY : 1 + Math.floor(random() * 4000);
  const timer = setTimeout(kill, random() * (run % 3 === 2 ? 400 : 2000));
  let lines = 0;
  let acknowledged = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    learn(line);
    if (line.startsWith('ack')) acknowledged++;
    if (++lines === maxLines) kill();
  }
  clearTimeout(timer);
  return acknowledged;
}

async function withStore(path: string, use: (store: Store) => Promise<void>): Promise<void> {
  const trustDomain = TrustDomain.parse('example.org');
  const store = await openSqliteStore({ path, trustDomain, clock: new FakeClock() });
  try {
    await use(store);
  } finally {
    await store.close();
  }
}

/** Mulberry32: small numbers in [0, 1) that a seed repeats. */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
