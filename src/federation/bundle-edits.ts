import { parseCertificate, quote, TrustplaneError } from '../spiffe/index.ts';
import {
  authorityName,
  type BundleKeys,
  type Provenance,
  type PublishedJwtAuthority,
  type PublishedX509Authority,
  type RevokedAuthority,
} from './bundle-record.ts';

/** How one authority stands in the bundle. */
export interface Publication {
  /** Milliseconds since the epoch. */
  readonly publishedAt: number;
  readonly isTainted: boolean;
}

/** As many as readers of bundle documents take. */
const MAX_KEYS = 1_000;
export const NO_KEYS: BundleKeys = { x509Authorities: [], jwtAuthorities: [], revoked: [] };

/** What is there already may stay, and go. @throws TrustplaneError ERR_OWN_BUNDLE_LIMIT */
export function checkSize(keys: BundleKeys, before: BundleKeys | undefined): void {
  const count = countOf(keys);
  if (count <= MAX_KEYS || count <= countOf(before ?? NO_KEYS)) return;
  throw new TrustplaneError(
    'ERR_OWN_BUNDLE_LIMIT',
    `the bundle of the own trust domain holds at most ${MAX_KEYS} keys; this would be ${count}`,
  );
}

function countOf({ x509Authorities, jwtAuthorities }: BundleKeys): number {
  return x509Authorities.length + jwtAuthorities.length;
}

/** What came in beside what was there. @throws TrustplaneError ERR_OWN_BUNDLE_REVOKED */
export function checkNotRevoked(keys: BundleKeys, before: BundleKeys | undefined): void {
  if (keys.revoked.length === 0) return;
  const revoked = new Set(keys.revoked.map(({ name }) => name));
  const there = new Set<unknown>([
    ...(before?.x509Authorities ?? []),
    ...(before?.jwtAuthorities ?? []),
  ]);
  for (const one of [...keys.x509Authorities, ...keys.jwtAuthorities]) {
    if (there.has(one) || !revoked.has(authorityName(one))) continue;
    const message = 'an authority that was revoked cannot come into the bundle again';
    throw new TrustplaneError('ERR_OWN_BUNDLE_REVOKED', message);
  }
}

export function withRevoked(
  all: readonly RevokedAuthority[],
  added: RevokedAuthority,
): readonly RevokedAuthority[] {
  return all.some(({ name }) => name === added.name) ? all : [...all, added];
}

export type Edit<Authority> = (all: readonly Authority[]) => readonly Authority[];
type Test<Authority> = (authority: Authority) => boolean;

export function isOf(certificate: Uint8Array): Test<Pick<PublishedX509Authority, 'certificate'>> {
  return (authority) => Buffer.compare(authority.certificate, certificate) === 0;
}

export function hasKeyId(keyId: string): Test<Pick<PublishedJwtAuthority, 'keyId'>> {
  return (authority) => authority.keyId === keyId;
}

export function isNot<Authority>(test: Test<Authority>): Test<Authority> {
  return (authority) => !test(authority);
}

function isOverBefore(instant: number, publisher: string | undefined) {
  return ({ publishedBy }: Provenance, endOf: () => number | undefined): boolean =>
    (publisher === undefined || publishedBy === publisher) && (endOf() ?? instant) < instant;
}

/** Without what ended before `instant`; of one publisher, or of all. */
export function withoutExpired(
  { x509Authorities, jwtAuthorities, revoked }: BundleKeys,
  instant: number,
  publisher?: string,
): BundleKeys {
  const isOver = isOverBefore(instant, publisher);
  return {
    revoked,
    x509Authorities: x509Authorities.filter(
      (one) => !isOver(one, () => parseCertificate(one.certificate).notAfter),
    ),
    jwtAuthorities: jwtAuthorities.filter((one) => !isOver(one, () => one.expiresAt)),
  };
}

/** Marks those that pass the test; the others, and those marked before, stay the same objects. */
export function withTaint<Authority extends { readonly tainted: boolean }>(
  all: readonly Authority[],
  test: Test<Authority>,
): readonly Authority[] {
  return all.map((authority) =>
    test(authority) && !authority.tainted ? { ...authority, tainted: true } : authority,
  );
}

/** What others published stays, but for a taint. */
export function merged<Authority extends { readonly tainted: boolean }>(
  all: readonly (Authority & Provenance)[],
  known: readonly Authority[],
  { isComplete, ...provenance }: Provenance & { readonly isComplete: boolean },
  isSame: (authority: Authority) => Test<Authority>,
): readonly (Authority & Provenance)[] {
  const { publishedBy } = provenance;
  const kept = all.filter(
    (one) => !isComplete || one.publishedBy !== publishedBy || known.some(isSame(one)),
  );
  const added = known.filter((one) => !all.some(isSame(one)));
  const isTainted = (one: Authority): boolean =>
    known.some((other) => other.tainted && isSame(one)(other));
  return [...withTaint(kept, isTainted), ...added.map((one) => ({ ...one, ...provenance }))];
}

export function withJwtAuthority(
  all: readonly PublishedJwtAuthority[],
  added: PublishedJwtAuthority,
): readonly PublishedJwtAuthority[] {
  const known = all.find(hasKeyId(added.keyId));
  if (known === undefined) return [...all, added];
  if (Buffer.compare(known.publicKey, added.publicKey) === 0) return all;
  throw new TrustplaneError(
    'ERR_KEY_EXISTS',
    `the bundle holds another JWT authority with the key ID ${quote(added.keyId)}`,
  );
}

export function publication(
  authority: (Provenance & { readonly tainted: boolean }) | undefined,
): Publication | undefined {
  if (authority === undefined) return undefined;
  return { publishedAt: authority.publishedAt, isTainted: authority.tainted };
}

export function sameItems<Item>(left: readonly Item[], right: readonly Item[]): boolean {
  return left.length === right.length && left.every((item, index) => item === right[index]);
}

export function isConflict(error: unknown): boolean {
  return error instanceof TrustplaneError && error.code === 'ERR_STORE_CONFLICT';
}
