import { createHash, type Hash } from 'node:crypto';
import { sameBytes } from './certificate.ts';
import type { TrustDomain } from './trust-domain.ts';

/** A CA certificate that signs X509-SVIDs of its trust domain. */
export interface X509Authority {
  /** DER of the certificate. */
  readonly certificate: Uint8Array;
  /** Everything signed by it is to be replaced. */
  readonly tainted: boolean;
}

/** A public key that signs JWT-SVIDs or WIT-SVIDs of its trust domain. */
export interface TokenAuthority {
  readonly keyId: string;
  /** Public key, SubjectPublicKeyInfo DER. */
  readonly publicKey: Uint8Array;
  /** Milliseconds since the epoch, or undefined for never. */
  readonly expiresAt: number | undefined;
  readonly tainted: boolean;
}

/** The public keys of one trust domain (SPIFFE Trust Domain and Bundle §3). Immutable. */
export interface Bundle {
  readonly trustDomain: TrustDomain;
  readonly x509Authorities: readonly X509Authority[];
  readonly jwtAuthorities: readonly TokenAuthority[];
  readonly witAuthorities: readonly TokenAuthority[];
  /** Rises with every change of content; 64 bits and more. */
  readonly sequenceNumber: bigint | undefined;
  /** Seconds. */
  readonly refreshHintSeconds: number | undefined;
}

/** A bundle without keys: every SVID of the trust domain is invalid (§4.1.3). */
export function emptyBundle(trustDomain: TrustDomain): Bundle {
  return {
    trustDomain,
    x509Authorities: [],
    jwtAuthorities: [],
    witAuthorities: [],
    sequenceNumber: undefined,
    refreshHintSeconds: undefined,
  };
}

/** How far a sequence number may rise at once: the holder of a stolen key could else lock the owner out. */
export const MAX_SEQUENCE_LEAP: bigint = 4_294_967_296n;

const DEFAULT_REFRESH_SECONDS = 300;

/** How long a consumer waits before it asks for the bundle again: the refresh hint, or without one (or 0) five minutes (§6.1). */
export function bundleRefreshSeconds({ refreshHintSeconds = 0 }: Bundle): number {
  return refreshHintSeconds === 0 ? DEFAULT_REFRESH_SECONDS : refreshHintSeconds;
}

/**
 * SHA-256, in hex, over what a bundle document says: trust domain, sequence number, refresh hint and
 * keys, whatever their order. Taint and the expiry of token keys are no part of a document, so that
 * publisher and receiver come to the same digest.
 */
export function bundleDigest(bundle: Bundle): string {
  const known = digests.get(bundle) ?? computeDigest(bundle);
  digests.set(bundle, known);
  return known;
}

const digests = new WeakMap<Bundle, string>();

function computeDigest(bundle: Bundle): string {
  const hash = createHash('sha256').update('trustplane bundle v1');
  addField(hash, bundle.trustDomain.name);
  addField(hash, bundle.sequenceNumber?.toString() ?? '');
  addField(hash, bundle.refreshHintSeconds?.toString() ?? '');
  addFields(
    hash,
    bundle.x509Authorities.map(({ certificate }) => sha256(certificate)),
  );
  for (const authorities of [bundle.jwtAuthorities, bundle.witAuthorities]) {
    addFields(
      hash,
      authorities.map(({ keyId, publicKey }) => `${sha256(publicKey)}${keyId}`),
    );
  }
  return hash.digest('hex');
}

/** True when both hold the same keys with the same attributes in the same order, and the same numbers. */
export function bundlesEqual(left: Bundle, right: Bundle): boolean {
  if (left === right) return true;
  return (
    left.trustDomain.equals(right.trustDomain) &&
    left.sequenceNumber === right.sequenceNumber &&
    left.refreshHintSeconds === right.refreshHintSeconds &&
    sameItems(
      left.x509Authorities,
      right.x509Authorities,
      (one, other) =>
        one.tainted === other.tainted && sameBytes(one.certificate, other.certificate),
    ) &&
    sameItems(left.jwtAuthorities, right.jwtAuthorities, sameTokenAuthority) &&
    sameItems(left.witAuthorities, right.witAuthorities, sameTokenAuthority)
  );
}

function sameTokenAuthority(one: TokenAuthority, other: TokenAuthority): boolean {
  return (
    one.keyId === other.keyId &&
    one.tainted === other.tainted &&
    one.expiresAt === other.expiresAt &&
    sameBytes(one.publicKey, other.publicKey)
  );
}

function sameItems<Item>(
  left: readonly Item[],
  right: readonly Item[],
  same: (one: Item, other: Item) => boolean,
): boolean {
  if (left.length !== right.length) return false;
  return left.every((one, index) => {
    const other = right[index];
    return other !== undefined && same(one, other);
  });
}

/** Fields carry their length, so that no two bundles read the same. */
function addField(hash: Hash, text: string): void {
  hash.update(`${Buffer.byteLength(text)}:`).update(text);
}

function addFields(hash: Hash, texts: readonly string[]): void {
  addField(hash, String(texts.length));
  for (const text of [...texts].sort()) addField(hash, text);
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
