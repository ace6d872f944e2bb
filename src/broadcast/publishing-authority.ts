import { type Bundle, bundleRefreshSeconds, sameBytes } from '../spiffe/index.ts';

/** One of this server's X.509 authorities. Instants in milliseconds since the epoch. */
export interface PublishingAuthority {
  readonly authorityId: string;
  /** What of it stands in the bundle, DER. */
  readonly anchor: Uint8Array;
  readonly notBefore: number;
  readonly notAfter: number;
  /** When it came into the bundle; undefined: it does not stand there. */
  readonly publishedAt: number | undefined;
}

/** In how many refresh hints those who poll have had a bundle. */
const REFRESHES = 3;
/** As many as a message has signatures. */
const MAX_SIGNERS = 8;
/** An SVID of an authority that ends sooner is of little use beside others. */
const LEAST_LEFT_MS = 10_000;

/**
 * Who signs messages (design D5): the server's own authorities that receivers can have, the youngest
 * first. Those are the ones that stood in the bundle published before, or have been in the bundle for
 * as long as those who poll need. Where nothing was published before, and nobody else could have, all.
 */
export function receivableAuthorities(
  own: readonly PublishingAuthority[],
  bundle: Bundle,
  before: Bundle | undefined,
  now: number,
): readonly PublishingAuthority[] {
  const isFirst = before === undefined && isOfOneServer(own, bundle);
  const known = own.filter(
    (authority) =>
      isUsable(authority, now) &&
      (isFirst || stands(authority, before) || now >= knownAt(authority, bundle)),
  );
  const lasting = known.filter(({ notAfter }) => notAfter > now + LEAST_LEFT_MS);
  return spread(lasting.length === 0 ? known : lasting);
}

/** When the first of the authorities is known to those who poll; Infinity: none is in the bundle. */
export function firstKnownAt(own: readonly PublishingAuthority[], bundle: Bundle): number {
  return Math.min(...own.map((authority) => knownAt(authority, bundle)));
}

function knownAt({ publishedAt }: PublishingAuthority, bundle: Bundle): number {
  if (publishedAt === undefined) return Number.POSITIVE_INFINITY;
  return publishedAt + REFRESHES * bundleRefreshSeconds(bundle) * 1_000;
}

function isUsable({ publishedAt, notBefore, notAfter }: PublishingAuthority, now: number): boolean {
  return publishedAt !== undefined && notBefore <= now && now < notAfter;
}

function stands({ anchor }: PublishingAuthority, bundle: Bundle | undefined): boolean {
  return bundle?.x509Authorities.some(({ certificate }) => sameBytes(certificate, anchor)) === true;
}

function isOfOneServer(own: readonly PublishingAuthority[], bundle: Bundle): boolean {
  return bundle.x509Authorities.every(({ certificate }) =>
    own.some(({ anchor }) => sameBytes(anchor, certificate)),
  );
}

/** The youngest, and of the rest the oldest: whoever has any of them has had those longest. */
function spread(known: readonly PublishingAuthority[]): readonly PublishingAuthority[] {
  const [youngest, ...rest] = known.toSorted((one, other) => other.notAfter - one.notAfter);
  return youngest === undefined ? [] : [youngest, ...rest.slice(1 - MAX_SIGNERS)];
}
