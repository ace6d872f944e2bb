import { type Certificate, parseCertificate } from '../spiffe/index.ts';
import type { Authority } from './authority.ts';

/** An authority that signs X509-SVIDs. */
export interface X509CaAuthority extends Authority {
  /** DER. */
  readonly certificate: Uint8Array;
  readonly parsed: Certificate;
  /** Where another authority signed it: what leads up from it. Undefined when it is self-signed. */
  readonly upstream: UpstreamPath | undefined;
}

/** The certificates above an authority, DER. */
export interface UpstreamPath {
  /** The first one issued the authority; empty when the root did. */
  readonly intermediates: readonly Uint8Array[];
  /** It stands in the bundle in place of the authority. */
  readonly root: Uint8Array;
}

/** @throws TrustplaneError ERR_CERTIFICATE */
export function createX509Authority(
  fields: Pick<X509CaAuthority, 'keyId' | 'state' | 'issuedAt' | 'certificate'> & {
    readonly upstream?: UpstreamPath | undefined;
  },
): X509CaAuthority {
  const { upstream } = fields;
  const parsed = parseCertificate(fields.certificate);
  const { publicKey } = parsed;
  const path = [parsed, ...certificatesAbove(upstream).map(parseCertificate)];
  const notBefore = Math.max(...path.map((certificate) => certificate.notBefore));
  const notAfter = Math.min(...path.map((certificate) => certificate.notAfter));
  const authorityId = hexOf(parsed.subjectKeyId);
  const upstreamId = upstream && hexOf(path.at(-1)?.subjectKeyId);
  return { ...fields, upstream, upstreamId, authorityId, notBefore, notAfter, publicKey, parsed };
}

/** What goes into SVIDs behind the leaf, DER: nothing when the authority itself is in the bundle. */
export function chainOf({ certificate, upstream }: X509CaAuthority): readonly Uint8Array[] {
  return upstream === undefined ? [] : [certificate, ...upstream.intermediates];
}

/** What of it stands in the bundle, DER. */
export function anchorOf({ certificate, upstream }: X509CaAuthority): Uint8Array {
  return upstream?.root ?? certificate;
}

function certificatesAbove(upstream: UpstreamPath | undefined): readonly Uint8Array[] {
  return upstream === undefined ? [] : [...upstream.intermediates, upstream.root];
}

function hexOf(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString('hex');
}
