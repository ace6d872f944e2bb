import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import type { PolicyRegistry } from '../../src/policies/index.ts';
import { openPolicyFile } from '../programs/open-policy-file.ts';
import { createSeededRandom, type SeededRandom } from '../programs/seeded-random.ts';

const WRITER = fileURLToPath(new URL('../programs/policy-writer.ts', import.meta.url));
const KILLS = Number(process.env['KILLS'] ?? 5);
const SEED = Number(process.env['SEED']);

it(`has one version whole, whenever who applies another is killed (KILLS=${KILLS} SEED=${SEED})`, async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'trustplane-policy-kill-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = path.join(folder, 'store.db');
  const random = createSeededRandom(SEED);
  let acknowledged = 0;
  for (let run = 0; run < KILLS; run++) {
    const known = await applyAndKill(file, run, random);
    acknowledged += known.count;
    await withPolicies(file, async (policies) => {
      expect(policies.fault).toBeUndefined();
      expect((await policies.verify()).faults).toEqual([]);
      const texts = policies.current();
      if (known.acked === undefined && texts === undefined) return;
      const [first] = new Set(
        texts?.files.map(({ bytes }) => Buffer.from(bytes).toString('latin1').split('\n', 1)[0]),
      );
      const heads = new Set(texts?.files.map(({ sha256 }) => sha256));
      expect([texts?.files.length, heads.size]).toEqual([4, 1]);
      expect(policies.version?.reason).toBe(first);
      expect([known.acked ?? first, known.tried]).toContain(first);
    });
  }
  expect(acknowledged).toBeGreaterThan(KILLS);
}, 60_000);

/** Kills the writer at some instant; says what it acknowledged last and tried since. */
async function applyAndKill(file: string, run: number, random: SeededRandom) {
  const child = spawn(process.execPath, [WRITER, file, String(run)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const acks = random(12);
  const delayMs = random(150);
  let acked: string | undefined;
  let tried: string | undefined;
  let count = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const [what, first, second] = line.split(' ');
    if (what === 'try') tried = first;
    else [acked, tried, count] = [second, undefined, count + 1];
    if (what === 'try' && count >= acks) setTimeout(() => child.kill('SIGKILL'), delayMs);
  }
  return { acked, tried, count };
}

async function withPolicies(
  file: string,
  use: (policies: PolicyRegistry) => Promise<void>,
): Promise<void> {
  const { store, policies } = await openPolicyFile(file);
  try {
    await use(policies);
  } finally {
    await policies.close();
    await store.close();
  }
}
