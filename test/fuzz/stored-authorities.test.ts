import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createJournal } from '../../src/ca/journal.ts';
import { jwtJournalCodec } from '../../src/ca/jwt-journal.ts';
import { openKey, sealKey } from '../../src/ca/sealed-key.ts';
import { x509JournalCodec } from '../../src/ca/x509-journal.ts';
import { decodeBundleRecord } from '../../src/federation/bundle-record.ts';
import { generateP256KeyPair, TrustplaneError } from '../../src/spiffe/index.ts';
import { startAuthorities } from '../fakes/authority-world.ts';
import { createCaGround, startCa, testTrustDomain } from '../fakes/ca-world.ts';

const ground = createCaGround();
const world = await startCa(ground);
const { publicKey } = generateP256KeyPair();
await world.ownBundle.publisherFor('s1').publishJwt({ keyId: 'k', publicKey, expiresAt: 1 });
await world.close();
await (await startAuthorities('jwt', ground)).close();

async function stored(key: string): Promise<string> {
  return Buffer.from((await ground.bucket.get(key))?.value ?? []).toString();
}

/** A text with up to three pieces replaced. */
function edited(text: string): fc.Arbitrary<string> {
  const piece = fc.oneof(
    fc.string({ maxLength: 4 }),
    fc.constantFrom('"', '{', '}', '[]', 'null', '-1', '1e99', '\u0000', '"v":2', 'A'),
  );
  const edit = fc.record({ at: fc.nat(text.length), remove: fc.nat(8), insert: piece });
  return fc
    .array(edit, { minLength: 1, maxLength: 3 })
    .map((edits) =>
      edits.reduce(
        (result, { at, remove, insert }) =>
          result.slice(0, at) + insert + result.slice(at + remove),
        text,
      ),
    );
}

/** The error, or undefined when there was none; anything but our errors fails the test. */
async function errorCode(action: () => unknown): Promise<string | undefined> {
  try {
    await action();
    return undefined;
  } catch (error) {
    if (error instanceof TrustplaneError) return error.code;
    throw error;
  }
}

describe('what the store holds of authorities', () => {
  it('is read, or refused as a damaged journal', async () => {
    const text = await stored('x509.s1');
    await fc.assert(
      fc.asyncProperty(edited(text), async (damaged) => {
        const { bucket } = createCaGround();
        await bucket.put('x509.s1', Buffer.from(damaged));
        const journal = createJournal(bucket, 's1', x509JournalCodec(testTrustDomain));
        expect([undefined, 'ERR_CA_JOURNAL']).toContain(await errorCode(() => journal.load()));
      }),
      { numRuns: 500 },
    );
  });

  it('is read, or refused as a damaged journal of JWT authorities', async () => {
    const text = await stored('jwt.s1');
    await fc.assert(
      fc.asyncProperty(edited(text), async (damaged) => {
        const { bucket } = createCaGround();
        await bucket.put('jwt.s1', Buffer.from(damaged));
        const journal = createJournal(bucket, 's1', jwtJournalCodec(testTrustDomain));
        expect([undefined, 'ERR_CA_JOURNAL']).toContain(await errorCode(() => journal.load()));
      }),
      { numRuns: 500 },
    );
  });

  it('is read, or refused as a damaged bundle', async () => {
    const text = await stored('bundle');
    await fc.assert(
      fc.asyncProperty(edited(text), async (damaged) => {
        const decode = () => decodeBundleRecord(Buffer.from(damaged), testTrustDomain);
        expect([undefined, 'ERR_OWN_BUNDLE']).toContain(await errorCode(decode));
      }),
      { numRuns: 500 },
    );
  });
});

describe('a sealed key file', () => {
  it('opens to the same key, or is refused as damaged', async () => {
    const seal = randomBytes(32);
    const pkcs8 = randomBytes(138);
    const file = Buffer.from(
      sealKey({ keyId: 'k', keyType: 'ec-p256', pkcs8 }, seal, randomBytes),
    ).toString();
    await fc.assert(
      fc.asyncProperty(edited(file), async (damaged) => {
        const open = () => {
          expect(openKey(Buffer.from(damaged), 'k', seal, '/keys/k.key').pkcs8).toEqual(pkcs8);
        };
        expect([undefined, 'ERR_KEY_FILE_DAMAGED']).toContain(await errorCode(open));
      }),
      { numRuns: 1000 },
    );
  });
});
