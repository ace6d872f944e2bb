import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { signAckMessage, verifyAckMessage } from '../../src/broadcast/ack-message.ts';
import { signBundleMessage, verifyBundleMessage } from '../../src/broadcast/bundle-message.ts';
import { bundleSubject } from '../../src/broadcast/subjects.ts';
import { bundleDigest, TrustDomain } from '../../src/spiffe/index.ts';
import { makeAuthority, testNow } from '../fakes/test-certificates.ts';
import { bundleWith, makeSigner, signedBy, testPublisherId } from '../fakes/test-messages.ts';
import { attempt } from './attempt.ts';

const trustDomain = TrustDomain.parse('a.test');
const [one, two] = [await makeAuthority(), await makeAuthority()];
const signers = [await makeSigner(one), await makeSigner(two)];
const bundle = bundleWith('a.test', 7n, [one, two]);
const message = signBundleMessage({ bundle, ...signedBy(...signers) });
const expected = {
  trustDomain,
  publisherId: testPublisherId,
  bundle: bundleWith('a.test', 6n, [one]),
  now: testNow,
};
const ack = {
  publisher: TrustDomain.parse('b.test'),
  receiver: trustDomain,
  sequence: 3n,
  digest: 'ab'.repeat(32),
  issuedAt: testNow,
  expiresAt: testNow + 60_000,
};

/** Bytes changed, put in or taken out at some places. */
const damage = (bytes: Uint8Array) =>
  fc
    .array(
      fc.record({
        at: fc.nat(bytes.length - 1),
        how: fc.constantFrom('set', 'insert', 'delete'),
        octet: fc.nat(255),
      }),
      { minLength: 1, maxLength: 3 },
    )
    .map((changes) => {
      const octets = [...bytes];
      for (const { at, how, octet } of changes) {
        if (how === 'set') octets[at] = octet;
        else octets.splice(at, how === 'delete' ? 1 : 0, ...(how === 'delete' ? [] : [octet]));
      }
      return Uint8Array.from(octets);
    });

describe('messages about bundles', () => {
  it('say what was signed, or are refused, whatever was done to them (FED-21)', () => {
    fc.assert(
      fc.property(damage(message), (bytes) => {
        const verified = attempt(() => verifyBundleMessage(bytes, expected));
        if (verified === undefined) return;
        expect(bundleDigest(verified.bundle)).toBe(bundleDigest(bundle));
        expect(verified).toMatchObject({ sequence: 7n, issuedAt: testNow });
      }),
      { numRuns: 1_000 },
    );
  });

  it('say so of acknowledgements too', () => {
    const bytes = signAckMessage(ack, signers);
    const from = { ...ack, ...expected };
    fc.assert(
      fc.property(damage(bytes), (damaged) => {
        const verified = attempt(() => verifyAckMessage(damaged, from));
        expect([undefined, ack]).toContainEqual(verified);
      }),
      { numRuns: 1_000 },
    );
  });

  it('are refused in the one way they may be, whatever came', () => {
    const json = fc.json().map((text) => Uint8Array.from(Buffer.from(text)));
    const shaped = fc
      .record({
        payload: fc.oneof(fc.string(), fc.json()),
        signatures: fc.array(
          fc.record({
            protected: fc.oneof(fc.base64String(), fc.string()),
            signature: fc.string(),
          }),
        ),
      })
      .map((value) => Uint8Array.from(Buffer.from(JSON.stringify(value))));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), json, shaped), (bytes) => {
        expect(attempt(() => verifyBundleMessage(bytes, expected))).toBeUndefined();
      }),
      { numRuns: 1_000 },
    );
  });

  it('have a subject of their own for each trust domain, of valid tokens', () => {
    const name = fc.stringMatching(/^[a-z0-9._-]{1,40}$/u);
    fc.assert(
      fc.property(name, name, (a, b) => {
        const [left, right] = [a, b].map((each) => bundleSubject(TrustDomain.parse(each)));
        expect(left).toMatch(/^trustplane\.v1\.bundle(\.[a-z0-9_-]+)+$/u);
        expect(left === right).toBe(a === b);
      }),
    );
  });
});
