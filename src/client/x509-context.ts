import { createPrivateKey, createPublicKey } from 'node:crypto';
import {
  type Bundle,
  messageOf,
  parseX509Svid,
  SpiffeId,
  splitDerSequence,
  type TrustDomain,
  TrustplaneError,
  verifyX509Svid,
  type X509Svid,
} from '../spiffe/index.ts';

/** One X509-SVID of the caller. */
export interface X509ContextSvid {
  readonly svid: X509Svid;
  /** DER, leaf first. */
  readonly certificateChain: readonly Uint8Array[];
  /** PKCS#8 DER. */
  readonly privateKey: Uint8Array;
  /** Empty for none. */
  readonly hint: string;
}

/** Everything the Workload API gave the caller at one moment; it replaces what came before. */
export interface X509Context {
  /** At least one; the first is the default. */
  readonly svids: readonly X509ContextSvid[];
  /** By trust domain name, the own ones too. */
  readonly bundles: ReadonlyMap<string, Bundle>;
}

/** X509SVIDResponse as it comes off the wire. */
export interface X509SvidResponse {
  readonly svids?: readonly {
    readonly spiffe_id?: string;
    readonly x509_svid?: Uint8Array;
    readonly x509_svid_key?: Uint8Array;
    readonly bundle?: Uint8Array;
    readonly hint?: string;
  }[];
  readonly federated_bundles?: Readonly<Record<string, Uint8Array>>;
}

const MAX_CERTIFICATES = 4_096;

/**
 * Parses and verifies a response (Workload API §5.2.1): every SVID is what it says, has its key, and
 * is valid below the bundle it came with.
 * @param now milliseconds since the epoch
 * @throws TrustplaneError ERR_CLIENT_RESPONSE
 */
export function parseX509Context(response: X509SvidResponse, now: number): X509Context {
  try {
    return readContext(response, now);
  } catch (error) {
    throw new TrustplaneError(
      'ERR_CLIENT_RESPONSE',
      `the Workload API's answer is invalid: ${messageOf(error)}`,
      { cause: error },
    );
  }
}

function readContext(response: X509SvidResponse, now: number): X509Context {
  const bundles = new Map<string, Bundle>();
  for (const [id, der] of Object.entries(response.federated_bundles ?? {})) {
    const trustDomain = parseTrustDomainId(id);
    bundles.set(trustDomain.name, parseBundle(trustDomain, der));
  }
  const hints = new Set<string>();
  const svids: X509ContextSvid[] = [];
  for (const message of response.svids ?? []) {
    const hint = message.hint ?? '';
    if (hint !== '' && hints.has(hint)) continue;
    hints.add(hint);
    svids.push(readSvid(message, bundles, now));
  }
  if (svids.length === 0) throw invalid('it has no SVID');
  return { svids, bundles };
}

function readSvid(
  message: NonNullable<X509SvidResponse['svids']>[number],
  bundles: Map<string, Bundle>,
  now: number,
): X509ContextSvid {
  const spiffeId = SpiffeId.parse(message.spiffe_id ?? '');
  const certificateChain = splitDerSequence(message.x509_svid ?? new Uint8Array());
  const svid = parseX509Svid(certificateChain);
  if (!svid.spiffeId.equals(spiffeId)) {
    throw invalid(`the SVID of ${spiffeId.toString()} names ${svid.spiffeId.toString()}`);
  }
  const bundle = parseBundle(spiffeId.trustDomain, message.bundle ?? new Uint8Array());
  verifyX509Svid(svid, bundle, now);
  bundles.set(spiffeId.trustDomain.name, bundle);
  const privateKey = checkKey(message.x509_svid_key ?? new Uint8Array(), svid);
  return { svid, certificateChain, privateKey, hint: message.hint ?? '' };
}

function checkKey(pkcs8: Uint8Array, { leaf, spiffeId }: X509Svid): Uint8Array {
  if (!Buffer.from(publicKeyOf(pkcs8)).equals(leaf.publicKey)) {
    throw invalid(`the key of ${spiffeId.toString()} is not the one of its certificate`);
  }
  return pkcs8;
}

/** What goes wrong inside is not told: it could quote the key. */
function publicKeyOf(pkcs8: Uint8Array): Uint8Array {
  try {
    const key = createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' });
    return createPublicKey(key).export({ type: 'spki', format: 'der' });
  } catch {
    throw invalid('a private key is not PKCS#8');
  }
}

function parseBundle(trustDomain: TrustDomain, der: Uint8Array): Bundle {
  const certificates = splitDerSequence(der, MAX_CERTIFICATES);
  return {
    trustDomain,
    x509Authorities: certificates.map((certificate) => ({ certificate, tainted: false })),
    jwtAuthorities: [],
    witAuthorities: [],
    sequenceNumber: undefined,
    refreshHintSeconds: undefined,
  };
}

/** Maps are keyed by `spiffe://<trust domain>`. */
function parseTrustDomainId(text: string): TrustDomain {
  const id = SpiffeId.parse(text);
  if (!id.isTrustDomainId) throw invalid(`${text} is not the ID of a trust domain`);
  return id.trustDomain;
}

function invalid(why: string): TrustplaneError {
  return new TrustplaneError('ERR_CLIENT_RESPONSE', why);
}
