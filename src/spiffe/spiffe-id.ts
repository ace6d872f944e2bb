import { TrustplaneError } from './errors.ts';
import { quote } from './quote.ts';
import { TrustDomain } from './trust-domain.ts';

const SCHEME = 'spiffe://';
const MAX_BYTES = 2048;
const FORBIDDEN_IN_PATH = /[^a-zA-Z0-9._\-/]/u;

/**
 * A SPIFFE ID: `spiffe://<trust domain>[/<segment>]*` (SPIFFE-ID §2). Parsed by its own grammar,
 * never by a URL library; the text is kept byte for byte.
 */
export class SpiffeId {
  readonly trustDomain: TrustDomain;
  /** Empty, or `/` and non-empty segments: `/ns/prod/sa/web`. */
  readonly path: string;

  private constructor(trustDomain: TrustDomain, path: string) {
    this.trustDomain = trustDomain;
    this.path = path;
  }

  /**
   * @throws TrustplaneError ERR_SPIFFE_ID_EMPTY, ERR_SPIFFE_ID_SCHEME, ERR_SPIFFE_ID_TOO_LONG,
   * ERR_SPIFFE_ID_PATH, ERR_TRUST_DOMAIN
   */
  static parse(text: string): SpiffeId {
    if (text.length === 0)
      throw new TrustplaneError('ERR_SPIFFE_ID_EMPTY', 'the SPIFFE ID is empty');
    if (!text.startsWith(SCHEME)) {
      throw new TrustplaneError(
        'ERR_SPIFFE_ID_SCHEME',
        `a SPIFFE ID begins with "${SCHEME}"; got ${quote(text)}`,
      );
    }
    const slash = text.indexOf('/', SCHEME.length);
    const end = slash === -1 ? text.length : slash;
    return SpiffeId.of(TrustDomain.parse(text.slice(SCHEME.length, end)), text.slice(end));
  }

  /**
   * Joins a trust domain and a path (empty, or beginning with `/`).
   * @throws TrustplaneError ERR_SPIFFE_ID_PATH, ERR_SPIFFE_ID_TOO_LONG
   */
  static of(trustDomain: TrustDomain, path: string): SpiffeId {
    checkPath(path);
    const bytes = SCHEME.length + trustDomain.name.length + path.length;
    if (bytes > MAX_BYTES) {
      throw new TrustplaneError(
        'ERR_SPIFFE_ID_TOO_LONG',
        `the SPIFFE ID has ${bytes} bytes; at most ${MAX_BYTES} are allowed`,
      );
    }
    return new SpiffeId(trustDomain, path);
  }

  /** True when the ID names a trust domain and not something in it. */
  get isTrustDomainId(): boolean {
    return this.path === '';
  }

  equals(other: SpiffeId): boolean {
    return this.path === other.path && this.trustDomain.equals(other.trustDomain);
  }

  toString(): string {
    return `${SCHEME}${this.trustDomain.name}${this.path}`;
  }
}

/** True for the IDs of the control plane itself, at and below `/spire`, which no entry may have. */
export function isReservedPath(id: SpiffeId): boolean {
  return id.path === '/spire' || id.path.startsWith('/spire/');
}

function checkPath(path: string): void {
  if (path === '') return;
  if (!path.startsWith('/')) throw badPath(path, 'must begin with "/"');
  const bad = FORBIDDEN_IN_PATH.exec(path);
  if (bad !== null) {
    throw badPath(
      path,
      `has ${quote(bad[0])} at offset ${bad.index}; only a-z, A-Z, 0-9, ".", "_", "-" and "/" are allowed`,
    );
  }
  for (const segment of path.slice(1).split('/')) {
    if (segment === '') throw badPath(path, 'has an empty segment or a trailing "/"');
    if (segment === '.' || segment === '..') throw badPath(path, `has the segment "${segment}"`);
  }
}

function badPath(path: string, why: string): TrustplaneError {
  return new TrustplaneError('ERR_SPIFFE_ID_PATH', `the SPIFFE ID path ${quote(path)} ${why}`);
}
