import fc from 'fast-check';
import { expect, it } from 'vitest';
import { RateLimit } from '../../src/api/rate-limit.ts';
import { TrustplaneError } from '../../src/spiffe/index.ts';
import { FakeClock } from '../fakes/fake-clock.ts';

const SOURCES = ['a', 'b'] as const;
const step = fc.oneof(
  fc.record({
    do: fc.constant('call' as const),
    source: fc.constantFrom(...SOURCES),
    tokens: fc.integer({ min: 0, max: 7 }),
  }),
  fc.record({ do: fc.constant('leave' as const), nth: fc.nat(20) }),
  fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 3_000 }) }),
);

function takeOrRefused(limit: RateLimit, source: string, tokens: number) {
  try {
    return limit.take(source, tokens);
  } catch (error) {
    if (error instanceof TrustplaneError && error.code === 'ERR_API_RATE_LIMIT') return 'refused';
    throw error;
  }
}

it('no source gets more than its rate, each gets its turn, and nobody waits for good', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 5 }),
      fc.array(step, { maxLength: 60 }),
      async (rate, steps) => {
        const clock = new FakeClock();
        const begin = clock.now();
        const options = { what: 'calls', maxWaiting: 10, maxWaitMs: 60_000, clock };
        const limit = new RateLimit({ ...options, ratePerSecond: rate });
        const spent = { a: 0, b: 0 };
        const waiting: { leave: () => void }[] = [];
        const turns: Record<'a' | 'b', number[]> = { a: [], b: [] };
        const check = (source: 'a' | 'b', tokens: number): void => {
          // A call larger than the bucket goes when that is full.
          const allowed = rate + ((clock.now() - begin) / 1_000) * rate;
          expect(spent[source] + Math.min(tokens, rate)).toBeLessThanOrEqual(allowed + 1e-6);
          spent[source] += tokens;
        };
        let number = 0;
        for (const each of steps) {
          if (each.do === 'pass') await clock.advanceAsync(each.ms);
          else if (each.do === 'leave') {
            const [gone] = waiting.splice(each.nth % Math.max(1, waiting.length), 1);
            gone?.leave();
          } else {
            const { source, tokens } = each;
            const call = ++number;
            const place = takeOrRefused(limit, source, tokens);
            const admit = (): void => {
              check(source, tokens);
              turns[source].push(call);
            };
            if (place === undefined) admit();
            if (place === undefined || place === 'refused') continue;
            const mine = { leave: () => place.leave() };
            waiting.push(mine);
            void place.admitted.then(() => waiting.splice(waiting.indexOf(mine), 1)).then(admit);
          }
        }
        await clock.advanceAsync(200_000);
        expect(waiting).toEqual([]);
        for (const source of SOURCES)
          expect(turns[source]).toEqual(turns[source].toSorted((x, y) => x - y));
      },
    ),
    { numRuns: 300 },
  );
});
