import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { writeCrl, writeCrlEntries } from '../../src/ca/crl-writer.ts';
import { createMemoryKeyManager } from '../../src/ca/index.ts';
import { parseCrl } from '../../src/spiffe/index.ts';
import { X509Crl } from '../oracles/x509.ts';
import { attempt } from './attempt.ts';

const EMPTY_NAME = Uint8Array.of(0x30, 0);
const key = await createMemoryKeyManager().generateKey('k', 'ec-p256');
const signer = { key, issuerName: EMPTY_NAME, issuerKeyId: Uint8Array.of(1, 2, 3) };
const DAY_MS = 86_400_000;
const second = fc.integer({ min: 0, max: 4_000_000_000 }).map((seconds) => seconds * 1_000);

const entries = fc.uniqueArray(
  fc.record({
    serialNumber: fc
      .uint8Array({ minLength: 1, maxLength: 19 })
      .map((bytes) => Buffer.from(bytes).toString('hex')),
    revokedAt: second,
    reason: fc.constantFrom('keyCompromise', 'superseded', 'privilegeWithdrawn'),
  }),
  { selector: ({ serialNumber }) => BigInt(`0x${serialNumber}`), maxLength: 20 },
);

const good = await writeCrl(signer, {
  number: 7n,
  thisUpdate: 0,
  nextUpdate: DAY_MS,
  revoked: writeCrlEntries([{ serialNumber: '0a', revokedAt: 0, reason: 'keyCompromise' }]),
});

describe('parseCrl', () => {
  it('reads whatever is written, as another implementation does', async () => {
    await fc.assert(
      fc.asyncProperty(entries, second, fc.bigInt(1n, 2n ** 150n), async (given, at, number) => {
        const revoked = writeCrlEntries(given);
        const fields = { number, thisUpdate: at, nextUpdate: at + DAY_MS, revoked };
        const der = await writeCrl(signer, fields);
        const crl = parseCrl(der);
        expect(crl).toMatchObject({ number, thisUpdate: at, nextUpdate: at + DAY_MS });
        expect(crl).toMatchObject({ authorityId: '010203', count: given.length });
        expect(Buffer.from(crl.revoked)).toEqual(Buffer.from(revoked));
        const serials = new X509Crl(Uint8Array.from(der)).entries.map(({ serialNumber }) =>
          BigInt(`0x${serialNumber}`),
        );
        const sorted = given
          .map(({ serialNumber }) => BigInt(`0x${serialNumber}`))
          .sort((one, other) => (one < other ? -1 : 1));
        expect(serials).toEqual(sorted);
      }),
      { numRuns: 100 },
    );
  });

  it('answers any bytes with a typed error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(attempt(() => parseCrl(bytes))).toBeUndefined();
      }),
      { numRuns: 2_000 },
    );
  });

  it('refuses a good one with bytes cut off or put behind', () => {
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.uint8Array({ maxLength: 4 }), (at, more) => {
        expect(attempt(() => parseCrl(good.subarray(0, at)))).toBeUndefined();
        const longer = Buffer.concat([good, more, Uint8Array.of(0)]);
        expect(attempt(() => parseCrl(longer))).toBeUndefined();
      }),
    );
  });

  it('answers one with octets replaced by another CRL or a typed error', () => {
    const edits = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1 });
    fc.assert(
      fc.property(edits, (changes) => {
        const bytes = Uint8Array.from(good);
        for (const [at, octet] of changes) bytes[at] = octet;
        expect(attempt(() => parseCrl(bytes))?.der ?? bytes).toBe(bytes);
      }),
      { numRuns: 2_000 },
    );
  });
});
