import { hash } from 'node:crypto';
import {
  type Bundle,
  type Clock,
  checkJwtSvid,
  type JwtSvid,
  parseJwtSvid,
  SpiffeId,
  type TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import type { CheckRequest, HttpAttributes } from './check-request.ts';
import { FailureBudget } from './failure-budget.ts';
import { type Caller, judgeSvid, type Trust } from './judge-svid.ts';
import { Remembered } from './remembered.ts';

/** Which tokens name callers. */
export interface JwtSvidOptions {
  /** Lower case. `authorization`: behind `Bearer`; any other header: the token alone. */
  readonly header: string;
  /** For whom tokens are to be meant: the service that is called, by its SPIFFE ID, or one of these. */
  readonly audiences: 'destination' | readonly string[];
}

export interface TokenReaderOptions extends Trust, JwtSvidOptions {
  readonly clock: Clock;
}

/** What a token that is not good comes to. */
interface Refusal {
  readonly caller: 'bad_svid' | 'unknown_trust_domain' | undefined;
  /** Whose keys it was held against; undefined: it is no JWT-SVID, whoever has which keys. */
  readonly trustDomain: TrustDomain | undefined;
  readonly bundle: Bundle | undefined;
  /** Milliseconds. */
  readonly from: number;
  readonly until: number;
}

/** A token whose signature was verified. */
interface VerifiedToken {
  readonly spiffeId: SpiffeId;
  readonly audience: readonly string[];
  readonly issuedAt: number;
  /** Of the token or of the key that signed it, whichever comes first. */
  readonly expiresAt: number;
  /** With which it was verified: with another one it is verified anew. */
  readonly bundle: Bundle;
}

/** Of the agent's own, none has more than half of it. */
const MAX_TOKEN_LENGTH = 8_192;
/** Of an RSA key of 4096 bits. */
const MAX_SIGNATURE_BYTES = 512;
const LEEWAY_MS = 30_000;
const MAX_VERIFIED = 4_096;
const MAX_REFUSED = 4_096;
const budget = { perSource: 100, inAll: 500 };
/** What time may heal is looked at again after this. */
const HEALS_MS = 1_000;
/** In the payload of each JWT-SVID; the letters of it may be written as JSON has them too. */
const SUBJECT = /"sub"\s*:\s*"spiffe:|\\u00(?:73|75|62|70|69|66|65|3a)/iu;

/**
 * Tells who calls from a JWT-SVID in a header (JWT-SVID §5). Never waits: signatures are verified at
 * once, and remembered by a hash of the token until it expires or the bundle changes. Tokens are kept
 * nowhere. Never throws.
 */
export class TokenReader {
  readonly #options: TokenReaderOptions;
  readonly #verified = new Remembered<VerifiedToken>(MAX_VERIFIED);
  /** A set apart, so that forged ones drive out no others. */
  readonly #refused = new Remembered<Refusal>(MAX_REFUSED);
  readonly #budget = new FailureBudget(budget);

  constructor(options: TokenReaderOptions) {
    this.#options = options;
  }

  /**
   * Whom the token names, or why nobody; undefined: there is nothing that looks like a JWT-SVID.
   * `source`: who sends it, and is not listened to after many forged ones.
   */
  callerOf(
    { http, destination }: CheckRequest,
    source: string,
  ): Exclude<Caller, 'unauthenticated'> | undefined {
    const shown = http === undefined ? undefined : this.#tokenIn(http);
    if (typeof shown !== 'object') return shown;
    const { text } = shown;
    const key = hash('sha256', text, 'base64');
    const now = this.#options.clock.now();
    const token = this.#known(key, now) ?? this.#read(text, key, source, now);
    if (typeof token !== 'object') return token;
    return this.#isMeantFor(destination.principal, token.audience)
      ? judgeSvid(token, 'jwtAuthorities', this.#options)
      : 'bad_svid';
  }

  #tokenIn(http: HttpAttributes): { readonly text: string } | 'bad_svid' | undefined {
    const { header } = this.#options;
    const lines = http.lines(header);
    const [line] = lines;
    if (line === undefined) return undefined;
    const text = header === 'authorization' ? /^bearer +(.*)$/iu.exec(line)?.[1] : line;
    // A proxy that joins lines puts a comma between; no token has one.
    const isOne = lines.length === 1 && text?.includes(',') !== true;
    if (!isOne || (text?.length ?? 0) > MAX_TOKEN_LENGTH) return 'bad_svid';
    return text === undefined ? undefined : { text };
  }

  #known(key: string, now: number): VerifiedToken | undefined {
    const token = this.#verified.get(key);
    if (token === undefined) return undefined;
    if (
      now - LEEWAY_MS < token.expiresAt &&
      this.#bundleOf(token.spiffeId.trustDomain) === token.bundle
    ) {
      return token;
    }
    this.#verified.delete(key);
    return undefined;
  }

  /** Of a token that is new, or that is refused. */
  #read(text: string, key: string, source: string, now: number): VerifiedToken | Refusal['caller'] {
    const refused = this.#refusalOf(key, now);
    if (refused !== undefined) return refused.caller;
    if (!mayBeJwtSvid(text)) return undefined;
    // Reading one that was made for it takes half a millisecond: it costs who sends it as a forged one does.
    if (!this.#budget.isOpenTo(source, now)) return 'bad_svid';
    const token = this.#verify(text, now);
    if ('spiffeId' in token) {
      this.#verified.set(key, token);
      return token;
    }
    this.#refused.set(key, token);
    this.#budget.spend(source, now);
    return token.caller;
  }

  #refusalOf(key: string, now: number): Refusal | undefined {
    const refusal = this.#refused.get(key);
    if (refusal === undefined || now < refusal.from || now >= refusal.until) return undefined;
    const { trustDomain, bundle } = refusal;
    return trustDomain === undefined || this.#bundleOf(trustDomain) === bundle
      ? refusal
      : undefined;
  }

  #verify(text: string, now: number): VerifiedToken | Refusal {
    const svid = parse(text);
    const trustDomain = svid?.spiffeId.trustDomain;
    const bundle = trustDomain && this.#bundleOf(trustDomain);
    const refused = (caller: Refusal['caller'], until = Number.POSITIVE_INFINITY): Refusal => ({
      caller,
      trustDomain,
      bundle,
      from: now,
      until,
    });
    if (svid === undefined) return refused(undefined);
    if (bundle === undefined) return refused('unknown_trust_domain');
    if (svid.signature.length > MAX_SIGNATURE_BYTES) return refused('bad_svid');
    try {
      return verify(svid, bundle, now);
    } catch (error) {
      const isForged = !(error instanceof TrustplaneError) || error.code === 'ERR_JWT_SIGNATURE';
      return refused('bad_svid', isForged ? undefined : now + HEALS_MS);
    }
  }

  #bundleOf(trustDomain: TrustDomain): Bundle | undefined {
    const { own, federated } = this.#options.trust();
    return trustDomain.equals(own.trustDomain) ? own : federated.get(trustDomain.name);
  }

  #isMeantFor(principal: string | undefined, audience: readonly string[]): boolean {
    const { audiences } = this.#options;
    if (audiences !== 'destination') return audiences.some((one) => audience.includes(one));
    return principal !== undefined && isServiceId(principal) && audience.includes(principal);
  }
}

/** Tells other issuers' tokens, and noise, apart at little cost. */
function mayBeJwtSvid(text: string): boolean {
  const [, payload = ''] = text.split('.', 2);
  return SUBJECT.test(Buffer.from(payload, 'base64url').toString('latin1'));
}

function parse(text: string): JwtSvid | undefined {
  try {
    return parseJwtSvid(text);
  } catch {
    return undefined;
  }
}

/** @throws TrustplaneError ERR_JWT_* */
function verify(svid: JwtSvid, bundle: Bundle, now: number): VerifiedToken {
  const authority = checkJwtSvid(svid, { bundleOf: () => bundle, now, leewayMs: LEEWAY_MS });
  const { spiffeId, audience, issuedAt = 0, expiresAt } = svid;
  const end = Math.min(expiresAt, authority.expiresAt ?? expiresAt);
  return { spiffeId, audience, issuedAt, expiresAt: end, bundle };
}

/** A certificate may name its holder by anything; a token for that is for nobody. */
function isServiceId(principal: string): boolean {
  try {
    return !SpiffeId.parse(principal).isTrustDomainId;
  } catch {
    return false;
  }
}
