import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseSubject, type RevocationTarget } from '../../src/api/revocation-subject.ts';
import {
  decodeSuspension,
  encodeSuspension,
  joinSuspensions,
  type SuspensionFact,
  saidAt,
  suspensionKey,
} from '../../src/revocations/suspension-record.ts';
import { suspensionKinds, TrustDomain, TrustplaneError } from '../../src/spiffe/index.ts';

const trustDomain = TrustDomain.parse('a.test');
const instant = fc.nat({ max: 4_102_444_800_000 });
const lifting = fc.record({ at: instant, reason: fc.string(), by: fc.string() });
const fact: fc.Arbitrary<SuspensionFact> = fc
  .record({
    kind: fc.constantFrom(...suspensionKinds),
    value: fc.string({ minLength: 1, unit: 'grapheme' }),
    since: instant,
    at: instant,
    reason: fc.string({ unit: 'grapheme' }),
    by: fc.string(),
    lifted: fc.option(lifting, { nil: undefined }),
  })
  .map((fields) => ({ id: suspensionKey(fields), ...fields }));

function codeOf(act: () => unknown): string | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    if (error instanceof TrustplaneError) return error.code;
    throw error;
  }
}

/** Throws for a target that no parser may make. */
function requireSound(target: RevocationTarget): void {
  const isSound =
    target.kind === 'entry' ||
    (target.kind === 'serial'
      ? /^[0-9a-f]{1,40}$/u.test(target.value)
      : target.id.trustDomain.equals(trustDomain) &&
        target.id.path.startsWith('/spire/agent/') === (target.kind === 'agent'));
  if (target.value === '' || !isSound) throw new Error(`made ${JSON.stringify(target)}`);
}

describe('the record of a suspension', () => {
  it('says what it was made of', () => {
    fc.assert(
      fc.property(fact, (made) => {
        expect(decodeSuspension(made.id, encodeSuspension(made))).toEqual(made);
      }),
    );
  });

  it('is read whole or refused, whatever became of it', () => {
    fc.assert(
      fc.property(fact, fc.nat(), fc.uint8Array({ maxLength: 8 }), (made, at, bytes) => {
        const value = Buffer.from(encodeSuspension(made));
        value.set(bytes.slice(0, value.length - (at % value.length)), at % value.length);
        const code = codeOf(() => decodeSuspension(made.id, value));
        expect([undefined, 'ERR_SUSPENSION_RECORD']).toContain(code);
      }),
    );
  });

  it('joins with another in whatever order to the same, and what was said last holds', () => {
    const times = fc.nat({ max: 4 });
    const near = fc.tuple(times, fc.option(times, { nil: undefined })).map(
      ([at, end]): SuspensionFact => ({
        id: 'x',
        kind: 'entry',
        value: 'e',
        since: at,
        at,
        reason: '',
        by: '',
        lifted: end === undefined ? undefined : { at: at + end, reason: '', by: '' },
      }),
    );
    fc.assert(
      fc.property(near, near, near, (a, b, c) => {
        const state = (one: SuspensionFact) => [saidAt(one), one.lifted === undefined];
        const join = joinSuspensions;
        expect(state(join(a, b))).toEqual(state(join(b, a)));
        expect(state(join(join(a, b), c))).toEqual(state(join(a, join(b, c))));
        expect(saidAt(join(a, b))).toBe(Math.max(saidAt(a), saidAt(b)));
      }),
    );
  });
});

describe('the subject of a revocation', () => {
  it('is one of this trust domain, or refused with the code for it', () => {
    const text = fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 60 }),
      fc.stringMatching(/^spiffe:\/\/(?:a|b)\.test(?:\/[a-z.]{0,5}){0,4}$/u),
      fc.stringMatching(/^spiffe:\/\/a\.test\/spire(?:\/agent)?(?:\/[a-z]{1,4}){0,3}$/u),
      fc.stringMatching(/^[0-9a-fA-F:]{0,45}$/u),
    );
    const field = fc.constantFrom('spiffe_id', 'entry_id', 'serial_number', 'agent_id');
    fc.assert(
      fc.property(field, text, (name, said) => {
        const wire = { [name]: said };
        const code = codeOf(() => requireSound(parseSubject(wire, trustDomain)));
        expect([undefined, 'ERR_REVOCATION_SUBJECT']).toContain(code);
      }),
      { numRuns: 500 },
    );
  });
});
