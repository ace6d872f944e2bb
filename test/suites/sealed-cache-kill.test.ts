import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { openSealedCache } from '../../src/node/sealed-cache.ts';
import { createLog, createMetrics, systemClock } from '../../src/ops/index.ts';
import { TrustDomain } from '../../src/spiffe/index.ts';
import { createRunFolder } from '../programs/run-folder.ts';

const WRITER = fileURLToPath(new URL('../programs/cache-writer.ts', import.meta.url));
const KILLS = Number(process.env['KILLS'] ?? 8);

describe(`an agent's cache whose process is killed (KILLS=${KILLS})`, () => {
  const folder = createRunFolder();
  afterAll(() => folder.remove());

  it(
    'is readable, and has every SVID and all facts it acknowledged',
    async () => {
      const acknowledged = new Map<string, string>();
      const tried = new Map<string, string>();
      let facts = '';
      let count = 0;
      for (let run = 0; run < KILLS; run++) {
        for await (const [what, entryId = '', profile = ''] of writeAndKill(folder.path, run)) {
          if (what === 'try') tried.set(entryId, profile);
          if (what === 'ack') acknowledged.set(entryId, profile);
          if (what === 'ack') count++;
          if (what === 'facts') facts = entryId;
        }
        const state = await load(folder.path);
        const found = new Map(state.svids.map((svid) => [svid.entryId, svid.profile]));
        for (const [entryId, profile] of acknowledged) {
          expect([profile, tried.get(entryId)]).toContain(found.get(entryId));
        }
        for (const [entryId, profile] of found) acknowledged.set(entryId, profile);
        const hints = [...(state.facts?.entries.values() ?? [])].map(({ hint }) => hint);
        const old = hints.filter((hint) => !isAtLeast(hint, facts));
        expect(old).toEqual([]);
        expect(hints.length >= 20 || facts === '').toBe(true);
      }
      expect(count).toBeGreaterThan(KILLS);
    },
    30_000 + KILLS * 8_000,
  );
});

/** `run-revision` */
function isAtLeast(hint: string, other: string): boolean {
  const [run = 0, revision = 0] = hint.split('-').map(Number);
  const [otherRun = 0, otherRevision = 0] = other.split('-').map(Number);
  return run > otherRun || (run === otherRun && revision >= otherRevision);
}

async function load(folder: string) {
  const lines: string[] = [];
  const cache = await openSealedCache({
    trustDomain: TrustDomain.parse('a.test'),
    dataDir: path.join(folder, 'data'),
    keyFile: path.join(folder, 'key'),
    credentialsFolder: undefined,
    clock: systemClock,
    log: createLog({ level: 'info', destination: { write: (line) => lines.push(line) } }),
    metrics: createMetrics(),
    random: randomBytes,
  });
  const state = await cache.load();
  await cache.close();
  expect(lines).toEqual([]);
  return state;
}

/** What the writer said until it was killed, at any instant. */
async function* writeAndKill(folder: string, run: number): AsyncGenerator<readonly string[]> {
  const child = spawn(process.execPath, [WRITER, folder, String(run)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const maxLines = 1 + Math.floor(Math.random() * 400);
  let lines = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    yield line.split(' ');
    if (++lines === maxLines) child.kill('SIGKILL');
  }
}
