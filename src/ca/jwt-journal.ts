import { z } from 'zod';
import type { TrustDomain } from '../spiffe/index.ts';
import { type JournalCodec, type JournalEntry, journalEntryShape } from './journal.ts';
import { createJwtAuthority, type JwtCaAuthority } from './jwt-authority.ts';

interface JwtEntry extends JournalEntry {
  readonly trustDomain: string;
  readonly notAfter: number;
  /** SubjectPublicKeyInfo DER, base64. */
  readonly publicKey: string;
}

const entry: z.ZodType<JwtEntry> = z.strictObject({
  ...journalEntryShape,
  trustDomain: z.string(),
  notAfter: z.int().nonnegative(),
  publicKey: z.base64().min(1).max(4_096),
});

/** JWT authorities in their journal; those of another trust domain are refused. */
export function jwtJournalCodec(trustDomain: TrustDomain): JournalCodec<JwtCaAuthority, JwtEntry> {
  return {
    kind: 'jwt',
    entry,
    encode: ({ keyId, state, issuedAt, notAfter, publicKey }) => ({
      keyId,
      state,
      issuedAt,
      trustDomain: trustDomain.name,
      notAfter,
      publicKey: Buffer.from(publicKey).toString('base64'),
    }),
    decode({ trustDomain: name, ...stored }) {
      if (name !== trustDomain.name) {
        throw new Error(`it holds authorities of ${JSON.stringify(name)}`);
      }
      const publicKey = new Uint8Array(Buffer.from(stored.publicKey, 'base64'));
      return createJwtAuthority({ ...stored, publicKey });
    },
  };
}
