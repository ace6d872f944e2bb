import { z } from 'zod';
import type { TrustDomain } from '../spiffe/index.ts';
import { type JournalCodec, type JournalEntry, journalEntryShape } from './journal.ts';
import { createX509Authority, type X509CaAuthority } from './x509-authority.ts';

const MAX_INTERMEDIATES = 8;
const certificate = z.base64().min(1).max(65_536);
/** Certificates in DER, base64. */
interface X509Entry extends JournalEntry {
  readonly certificate: string;
  readonly upstream?:
    | { readonly intermediates: readonly string[]; readonly root: string }
    | undefined;
}

const entry: z.ZodType<X509Entry> = z.strictObject({
  ...journalEntryShape,
  certificate,
  upstream: z
    .strictObject({ intermediates: z.array(certificate).max(MAX_INTERMEDIATES), root: certificate })
    .optional(),
});

/** X.509 authorities in their journal; those of another trust domain are refused. */
export function x509JournalCodec(
  trustDomain: TrustDomain,
): JournalCodec<X509CaAuthority, X509Entry> {
  return {
    kind: 'x509',
    entry,
    encode: ({ keyId, state, issuedAt, certificate, upstream }) => ({
      keyId,
      state,
      issuedAt,
      certificate: encodeBase64(certificate),
      ...(upstream !== undefined && {
        upstream: {
          intermediates: upstream.intermediates.map(encodeBase64),
          root: encodeBase64(upstream.root),
        },
      }),
    }),
    decode(stored) {
      const authority = createX509Authority({
        ...stored,
        certificate: decodeBase64(stored.certificate),
        upstream: stored.upstream && {
          intermediates: stored.upstream.intermediates.map(decodeBase64),
          root: decodeBase64(stored.upstream.root),
        },
      });
      const { authorityId, parsed } = authority;
      if (parsed.isCa && authorityId !== '' && parsed.uriSans[0] === trustDomain.id) {
        return authority;
      }
      throw new Error(`authority ${authorityId} is no authority of ${trustDomain.name}`);
    },
  };
}

function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

function decodeBase64(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64'));
}
