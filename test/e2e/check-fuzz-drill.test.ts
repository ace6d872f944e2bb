import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { openFuzzWorld } from '../check-fuzz/fuzz-world.ts';
import { sendCalls, sendFrames } from '../check-fuzz/hostile-client.ts';
import { dialAuthz, launchHostileGround } from '../check-fuzz/hostile-ground.ts';
import { mutateCheck } from '../check-fuzz/mutate-check.ts';
import { isAllowed } from '../fakes/authz-ground.ts';
import { eventually } from '../programs/eventually.ts';
import { residentMib } from '../programs/memory.ts';
import { createSeededRandom } from '../programs/seeded-random.ts';

/** `MINUTES=60 SEED=7 npm run fuzz:check`; `REPLAY=FILE` asks once what was found. Without it the same is asked each time. */
const MINUTES = Number(process.env['MINUTES'] ?? Number.POSITIVE_INFINITY);
const SEED = Number(process.env['SEED']);
const REPLAY = process.env['REPLAY'];
const HALF_MS = MINUTES * 30_000;
const LIMIT_MS = Number.isFinite(HALF_MS) ? 120_000 + 2 * HALF_MS : 600_000;
/** Without MINUTES: of the first half, and by each attacker of the second. */
const CHECKS = Number.isFinite(HALF_MS) ? Number.POSITIVE_INFINITY : 150_000;
const ROUNDS = Number.isFinite(HALF_MS) ? Number.POSITIVE_INFINITY : 3_000;
const AT_ONCE = 500;
const MAX_CORPUS = 2_000;
const MAX_GROWTH_BYTES = 768 * 1_048_576;
const ATTACKERS = 6;
/** What 130,000 connections in two minutes settle at is 400; a leak goes beyond in an hour. */
const MAX_GROWTH_MIB = 640;
const found = path.join(tmpdir(), `check-fuzz-${SEED}`);

/** Keeps what was found where it can be asked again. */
function keep(bytes: Buffer, name: string): string {
  mkdirSync(found, { recursive: true });
  const file = path.join(found, `${name}.bin`);
  writeFileSync(file, bytes);
  return `REPLAY=${file}`;
}

it.each(REPLAY === undefined ? [] : [REPLAY])('asks once more what was found: %s', async (file) => {
  const { handler, oracle, reason } = await openFuzzWorld();
  const bytes = readFileSync(file);
  handler.check(bytes);
  const told = { ours: reason(), theirs: oracle(bytes) };
  const others = expect.not.stringMatching(/^allowed_by_rule$/u);
  expect(told).not.toEqual({ ours: 'allowed_by_rule', theirs: others });
});

it.skipIf(REPLAY !== undefined)(
  `changed checks of Envoy's are never a failure, and allowed only where another reader allows them (SEED=${SEED}; AUTHZ-2, AUTHZ-3, AUTHZ-6)`,
  {
    timeout: LIMIT_MS,
  },
  async () => {
    const { handler, oracle, samples, reason } = await openFuzzWorld();
    const isLetIn = (bytes: Buffer): boolean => {
      handler.check(bytes);
      return reason() === 'allowed_by_rule';
    };
    // Unchanged, both allow and deny the same.
    const unchanged = samples.map((bytes) => [isLetIn(bytes), oracle(bytes) === 'allowed_by_rule']);
    expect(unchanged.filter(([ours, theirs]) => ours !== theirs)).toEqual([]);
    expect(unchanged.filter(([ours]) => ours).length).toBeGreaterThan(8);
    const random = createSeededRandom(SEED);
    const corpus = [...samples];
    const reasons = new Map<string, number>();
    const before = process.memoryUsage().rss;
    const endsAt = performance.now() + HALF_MS;
    let slowestMs = 0;
    for (let asked = 0; asked < CHECKS && performance.now() < endsAt; asked += AT_ONCE) {
      for (let count = 0; count < AT_ONCE; count++) {
        const bytes = mutateCheck(
          corpus[random(corpus.length)] ?? Buffer.alloc(0),
          samples,
          random,
        );
        const from = performance.now();
        let allowed: boolean;
        try {
          allowed = isLetIn(bytes);
        } catch (error) {
          throw new Error(`a check failed: ${keep(bytes, 'failure')}`, { cause: error });
        }
        slowestMs = Math.max(slowestMs, performance.now() - from);
        const why = reason() ?? 'none';
        reasons.set(why, (reasons.get(why) ?? 0) + 1);
        if (!allowed) continue;
        const verdict = oracle(bytes);
        if (verdict !== 'allowed_by_rule')
          throw new Error(`allowed, and for others ${verdict}: ${keep(bytes, 'allowed')}`);
        // What is allowed still is worth changing further.
        if (corpus.length < MAX_CORPUS) corpus.push(bytes);
        else corpus[samples.length + random(MAX_CORPUS - samples.length)] = bytes;
      }
      await setImmediate();
    }
    const total = [...reasons.values()].reduce((sum, count) => sum + count, 0);
    process.stderr.write(
      `checks: ${total}, slowest ${slowestMs.toFixed(1)} ms, ${JSON.stringify(Object.fromEntries(reasons))}\n`,
    );
    expect(reasons.get('internal_error')).toBeUndefined();
    expect(reasons.get('allowed_by_rule')).toBeGreaterThan(total / 100);
    expect(reasons.get('bad_request')).toBeGreaterThan(total / 100);
    expect(process.memoryUsage().rss - before).toBeLessThan(MAX_GROWTH_BYTES);
  },
);

it.skipIf(REPLAY !== undefined)(
  `a running authorization server outlives them, with broken frames, and serves others meanwhile (SEED=${SEED}; AUTHZ-2)`,
  {
    timeout: LIMIT_MS,
  },
  async () => {
    await using server = await launchHostileGround();
    const { authz, samples, oracle, conversation, clientRequests } = server;
    const client = dialAuthz(authz.authzSocket);
    const [allowed, denied] = clientRequests;
    await eventually('an answer', async () => (await isAllowed(client, allowed)) || undefined);
    const before = residentMib(authz.pid);
    const endsAt = performance.now() + HALF_MS;
    const tally = {
      attackers: ATTACKERS,
      calls: 0,
      allowed: 0,
      connections: 0,
      served: 0,
      slowestMs: 0,
    };
    const attack = async (number: number): Promise<void> => {
      const random = createSeededRandom(SEED + number);
      for (let round = 0; round < ROUNDS && performance.now() < endsAt; round++) {
        const messages = Array.from({ length: 1 + random(40) }, () =>
          mutateCheck(samples[random(samples.length)] ?? Buffer.alloc(0), samples, random),
        );
        for (const { sent, isAllowed: isIn } of await sendCalls(
          authz.authzSocket,
          messages,
          random,
        )) {
          tally.calls++;
          if (!isIn) continue;
          tally.allowed++;
          const verdict = oracle(sent);
          if (verdict !== 'allowed_by_rule')
            throw new Error(`allowed, and for others ${verdict}: ${keep(sent, 'served')}`);
        }
        await sendFrames(authz.authzSocket, conversation, random);
        tally.connections += 2;
      }
      tally.attackers--;
    };
    const serve = async (): Promise<void> => {
      while (tally.attackers > 0) {
        const from = performance.now();
        expect([await isAllowed(client, allowed), await isAllowed(client, denied)]).toEqual([
          true,
          false,
        ]);
        tally.slowestMs = Math.max(tally.slowestMs, performance.now() - from);
        tally.served += 2;
      }
    };
    await Promise.all([serve(), ...Array.from({ length: ATTACKERS }, (_, at) => attack(at))]);
    client.close();
    const after = residentMib(authz.pid);
    process.stderr.write(
      `authz run: ${JSON.stringify(tally)}, ${before.toFixed(0)} -> ${after.toFixed(0)} MiB\n`,
    );
    expect(tally.allowed).toBeGreaterThan(tally.calls / 100);
    expect(after - before).toBeLessThan(MAX_GROWTH_MIB);
    // Neither the process nor its thread has ended, nor was anything a defect.
    expect(authz.lines.filter((line) => /"level":"(?:error|fatal)"|thread/u.test(line))).toEqual(
      [],
    );
    expect(await authz.stop()).toBe(0);
  },
);
