import { parseIdPattern } from '../authz/deciding.ts';
import type { Clock, SpiffeId } from '../spiffe/index.ts';
import type { CheckRequest, PeerAttributes } from './check-request.ts';
import { ForwardedCallers, leafIdOf, type XfccOptions } from './forwarded-callers.ts';
import { type Caller, judgeSvid, type Trust } from './judge-svid.ts';
import { PeerCertificates } from './peer-certificates.ts';
import { type JwtSvidOptions, TokenReader } from './token-reader.ts';

export type { Caller } from './judge-svid.ts';

/** Who calls, by which credential. */
export interface Callers {
  readonly caller: Caller;
  readonly credential: 'x509-svid' | 'jwt-svid';
  /** Whom a token names beside the certificate. */
  readonly tokenCaller?: SpiffeId | undefined;
  /** The listed proxy that speaks for the caller. */
  readonly proxy?: SpiffeId | undefined;
}

export interface CallerReaderOptions extends Trust {
  /** False: an ID is believed without its certificate, from which the proxy took it. */
  readonly needsCertificate: boolean;
  /** Undefined: no token names anybody. */
  readonly jwtSvid?: TokenOptions | undefined;
  /** Undefined: whoever connects is the caller. */
  readonly xfcc?: XfccOptions | undefined;
  readonly clock: Clock;
}

export interface TokenOptions extends JwtSvidOptions {
  /** Patterns for the SPIFFE IDs whose connections may carry tokens; undefined: anybody's. */
  readonly peers?: readonly string[] | undefined;
}

/**
 * Tells who calls from the certificate that the proxy verified: one URI SAN with a valid SPIFFE ID and the
 * rules of leaves (the proxy takes two SANs and invalid paths), in force, of a trust domain that is known,
 * within its scope, and not revoked. Where they are configured, from what listed proxies forward, and
 * from JWT-SVIDs. Never throws.
 */
export class CallerReader {
  readonly #options: CallerReaderOptions;
  readonly #certificates = new PeerCertificates();
  readonly #forwarded: ForwardedCallers | undefined;
  readonly #tokens: TokenReader | undefined;
  readonly #tokenPeers: readonly { matches(id: string): boolean }[] | undefined;

  /** @throws TrustplaneError ERR_POLICY_PATTERN */
  constructor(options: CallerReaderOptions) {
    const { xfcc, jwtSvid } = options;
    this.#options = options;
    this.#forwarded = xfcc && new ForwardedCallers(xfcc, this.#certificates);
    this.#tokens = jwtSvid && new TokenReader({ ...options, ...jwtSvid });
    this.#tokenPeers = jwtSvid?.peers?.map(parseIdPattern);
  }

  callersOf(request: CheckRequest): Callers {
    const peer = this.#peerOf(request.source);
    const proxy = this.#proxyOf(peer, request);
    const caller = proxy === undefined ? peer : this.#forwardedBy(proxy, request);
    const token = this.#tokens && this.#tokenOf(this.#tokens, peer, caller, request);
    if (token === undefined) return { caller, credential: 'x509-svid', proxy };
    if (caller === 'unauthenticated') return { caller: token, credential: 'jwt-svid', proxy };
    // Beside a certificate a token that is not good says nothing.
    const tokenCaller = typeof token === 'string' ? undefined : token;
    return { caller, credential: 'x509-svid', tokenCaller, proxy };
  }

  /** Who connects. */
  #peerOf({ principal, certificate }: PeerAttributes): Caller {
    const { needsCertificate, clock } = this.#options;
    if (certificate !== undefined) {
      const read = this.#certificates.read(certificate, clock.now());
      if (read === undefined) return 'bad_svid';
      const { spiffeId, issuedAt, leaf } = read;
      return this.#judge(spiffeId, issuedAt, leaf.serialNumber);
    }
    if (principal === undefined) return 'unauthenticated';
    const id = needsCertificate ? undefined : leafIdOf(principal);
    return id === undefined ? 'bad_svid' : this.#judge(id, 0);
  }

  /** Who connects, where that one speaks for others. */
  #proxyOf(peer: Caller, { http }: CheckRequest): SpiffeId | undefined {
    if (http === undefined || typeof peer === 'string') return undefined;
    return this.#forwarded?.isProxy(peer) === true ? peer : undefined;
  }

  #forwardedBy(proxy: SpiffeId, { http }: CheckRequest): Caller {
    const caller = http && this.#forwarded?.callerOf(http, this.#options.clock.now());
    if (typeof caller !== 'object') return caller ?? proxy;
    return this.#judge(caller.spiffeId, caller.issuedAt, caller.serialNumber);
  }

  #tokenOf(
    tokens: TokenReader,
    peer: Caller,
    caller: Caller,
    request: CheckRequest,
  ): Exclude<Caller, 'unauthenticated'> | undefined {
    const peerId = typeof peer === 'string' ? undefined : peer.toString();
    const peers = this.#tokenPeers;
    const isBound =
      peers !== undefined &&
      (peerId === undefined || !peers.some((pattern) => pattern.matches(peerId)));
    if (isBound) return undefined;
    const isKnown = typeof caller !== 'string';
    return tokens.callerOf(request, isKnown ? caller.toString() : (request.source.ip ?? ''));
  }

  #judge(spiffeId: SpiffeId, issuedAt: number, serialNumber?: string): Caller {
    return judgeSvid({ spiffeId, issuedAt, serialNumber }, 'x509Authorities', this.#options);
  }
}
