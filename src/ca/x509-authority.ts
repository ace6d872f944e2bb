import type { Certificate } from '../spiffe/index.ts';
import { parseCertificate } from '../spiffe/index.ts';
import type { Authority } from './authority.ts';

/** An authority that signs X509-SVIDs. */
export interface X509CaAuthority extends Authority {
  /** DER, self-signed. */
  readonly certificate: Uint8Array;
  readonly parsed: Certificate;
}

/** @throws TrustplaneError ERR_CERTIFICATE */
export function createX509Authority(
  fields: Pick<X509CaAuthority, 'keyId' | 'state' | 'issuedAt' | 'certificate'>,
): X509CaAuthority {
  const parsed = parseCertificate(fields.certificate);
  const { notBefore, notAfter, publicKey, subjectKeyId = new Uint8Array() } = parsed;
  const authorityId = Buffer.from(subjectKeyId).toString('hex');
  return { ...fields, authorityId, notBefore, notAfter, publicKey, parsed };
}
