import { randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  advanceKeys,
  makeAssertionKey,
  parseKeys,
  type ScheduledKey,
  serializeKeys,
  signingKey,
} from '../../src/check/assertion-key-set.ts';
import { attempt } from './attempt.ts';

const HOUR = 3_600_000;
const saved = serializeKeys([makeAssertionKey(1, randomBytes)]);
const secret = /"privateKey": "(.{40})/u.exec(saved)?.[1] ?? '-';

function complaintOf(text: string): string {
  try {
    return String(parseKeys(text).length);
  } catch (error) {
    return String(error);
  }
}

describe('parseKeys', () => {
  it('reads any bytes or refuses them with its own error, which has nothing of a key in it', () => {
    const damaged = fc
      .tuple(fc.nat(saved.length), fc.nat(40), fc.string({ unit: 'binary', maxLength: 8 }))
      .map(([at, count, more]) => saved.slice(0, at) + more + saved.slice(at + count));
    const other = fc.oneof(damaged, fc.json(), fc.string({ unit: 'binary' }));
    fc.assert(
      fc.property(other, (text) => {
        const keys = attempt(() => parseKeys(text));
        expect(complaintOf(text)).not.toContain(secret);
        for (const { publicKey } of keys ?? []) expect(publicKey.length).toBe(91);
      }),
      { numRuns: 500 },
    );
    expect(parseKeys(saved)).toHaveLength(1);
  });
});

describe('advanceKeys', () => {
  it('signs with one that was known for an hour, however time goes on, and forgets none that may still be needed', () => {
    let made = 0;
    const make = (signsFrom: number): ScheduledKey => ({
      keyId: `k${++made}`,
      privateKey: new Uint8Array(),
      publicKey: new Uint8Array(),
      signsFrom,
    });
    const steps = fc.array(fc.integer({ min: 1, max: 30 * 60_000 }), { maxLength: 300 });
    fc.assert(
      fc.property(steps, (pauses) => {
        let now = 1_000_000_000;
        let keys = advanceKeys([], now, make);
        const known = new Map(keys.map(({ keyId }) => [keyId, 0]));
        const signed = new Map<string, number>();
        for (const pause of pauses) {
          now += pause;
          keys = advanceKeys(keys, now, make);
          for (const { keyId } of keys) known.set(keyId, known.get(keyId) ?? now);
          const keyId = signingKey(keys, now)?.keyId ?? '';
          expect(now - (known.get(keyId) ?? now)).toBeGreaterThanOrEqual(HOUR - 1);
          signed.set(keyId, now);
          const needed = [...signed].filter(([, at]) => now - at < HOUR).map(([id]) => id);
          expect(keys.map((one) => one.keyId)).toEqual(expect.arrayContaining(needed));
          expect(keys.length).toBeLessThanOrEqual(3);
        }
      }),
    );
  });
});
