import { z } from 'zod';
import type { TrustDomain } from '../spiffe/index.ts';
import { type JournalCodec, journalEntryShape } from './journal.ts';
import { createX509Authority, type X509CaAuthority } from './x509-authority.ts';

const entry = z.strictObject({
  ...journalEntryShape,
  certificate: z.base64().min(1).max(65_536),
});

/** X.509 authorities in their journal; those of another trust domain are refused. */
export function x509JournalCodec(
  trustDomain: TrustDomain,
): JournalCodec<X509CaAuthority, z.output<typeof entry>> {
  return {
    kind: 'x509',
    entry,
    encode: ({ keyId, state, issuedAt, certificate }) => ({
      keyId,
      state,
      issuedAt,
      certificate: Buffer.from(certificate).toString('base64'),
    }),
    decode(stored) {
      const certificate = new Uint8Array(Buffer.from(stored.certificate, 'base64'));
      const authority = createX509Authority({ ...stored, certificate });
      const { authorityId, parsed } = authority;
      if (parsed.isCa && authorityId !== '' && parsed.uriSans[0] === trustDomain.id) {
        return authority;
      }
      throw new Error(`authority ${authorityId} is no authority of ${trustDomain.name}`);
    },
  };
}
