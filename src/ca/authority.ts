import type { Certificate } from '../spiffe/index.ts';
import { parseCertificate } from '../spiffe/index.ts';

/**
 * prepared: made and published, signs nothing yet. active: signs. old: signs nothing more, stays in
 * the bundle until it has expired, because leaves signed by it live.
 */
export const authorityStates = ['prepared', 'active', 'old'] as const;
export type AuthorityState = (typeof authorityStates)[number];

/** One X.509 authority of this server, as the journal holds it. Instants in milliseconds since the epoch. */
export interface X509CaAuthority {
  /** The subject key identifier, in hex. */
  readonly authorityId: string;
  /** Of its key in the key manager. */
  readonly keyId: string;
  readonly state: AuthorityState;
  /** When it was made; `notBefore` is backdated from here, and life counts from here. */
  readonly issuedAt: number;
  /** DER, self-signed. */
  readonly certificate: Uint8Array;
  readonly parsed: Certificate;
}

/** @throws TrustplaneError ERR_CERTIFICATE */
export function createAuthority(
  fields: Pick<X509CaAuthority, 'keyId' | 'state' | 'issuedAt' | 'certificate'>,
): X509CaAuthority {
  const parsed = parseCertificate(fields.certificate);
  const authorityId = Buffer.from(parsed.subjectKeyId ?? new Uint8Array()).toString('hex');
  return { ...fields, authorityId, parsed };
}
