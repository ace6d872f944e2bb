import { parseAudience, type SpiffeId, TrustplaneError } from '../spiffe/index.ts';
import { keyPrefixOf } from './authority.ts';
import type { AuthorityPublisher, JwtAuthorityPublisher } from './authority-publisher.ts';
import { type CaMetrics, caMetricsOf } from './ca-metrics.ts';
import { type CaOptions, checkTtl, settleCaOptions } from './ca-options.ts';
import { createTimeGate } from './gate.ts';
import { createJournal } from './journal.ts';
import { createJwtAuthority, type JwtCaAuthority } from './jwt-authority.ts';
import { jwtJournalCodec } from './jwt-journal.ts';
import { writeJwtSvid } from './jwt-token.ts';
import type { SigningKey } from './key-manager.ts';
import { checkSubject, leafValidity, wholeSecond } from './leaf-request.ts';
import { type AuthorityControl, ManagedAuthorities } from './managed-authorities.ts';
import { createPeers } from './peer-authorities.ts';
import { createSerialNumbers } from './serial-number.ts';

const DEFAULT_TTL_SECONDS = 300;
const DEFAULT_REFRESH_HINT_SECONDS = 300;
/** How many lifetimes of a JWKS an authority stands in it before it signs (design D4). */
const KNOWN_AFTER_HINTS = 2;
/** What lies between half and 5/6 of an authority's life, when its successor is due in any case. */
const LONGEST_HOLD = 1 / 3;
const ID_BYTES = 16;

export interface JwtCaOptions extends CaOptions {
  readonly ownBundle: JwtAuthorityPublisher;
  /** Life of a JWT-SVID that asks for no other; default 5 min. */
  readonly jwtSvidTtlSeconds?: number;
  /** For how long consumers keep the JWKS; default 300 s. */
  readonly refreshHintSeconds?: number;
  /** The `iss` claim, an HTTPS URL; none by default. */
  readonly issuer?: string | undefined;
}

/** One JWT-SVID to sign. */
export interface JwtSvidRequest {
  /** With a path, in the trust domain of the authority. */
  readonly spiffeId: SpiffeId;
  readonly audience: readonly string[];
  /** 0 takes the default of the authority. */
  readonly ttlSeconds: number;
  /** Whether it gets a `jti` claim of 128 random bits. */
  readonly includeJti?: boolean;
  /** It ends by then, whatever its lifetime; milliseconds since the epoch. */
  readonly notAfterLimit?: number;
}

/** Instants in milliseconds since the epoch, whole seconds. */
export interface IssuedJwtSvid {
  readonly token: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
  /** What signed it. */
  readonly authorityId: string;
}

/** Signs JWT-SVIDs with authorities that it rotates (design D3, D4). */
export interface JwtCa extends AuthorityControl {
  /**
   * Signs at once, on this thread, with a key of this process; ends no later than the authority.
   * @throws TrustplaneError ERR_CA_SPIFFE_ID, ERR_JWT_AUDIENCE_LIST, ERR_CA_TTL, ERR_CA_CLOCK,
   * ERR_CA_EXPIRED, ERR_CA_CLOSED
   */
  issueJwtSvid(request: JwtSvidRequest): Promise<IssuedJwtSvid>;
  /** Ends the rotation after the step under way; nothing is signed any more. */
  close(): Promise<void>;
}

/**
 * Takes up this server's JWT authorities from the journal, or makes the first; resolves when it can
 * sign, or when only a clock that was set back keeps it from signing.
 * @throws TrustplaneError ERR_CA_TTL, ERR_CA_JOURNAL, ERR_CA_KEY_MISSING, ERR_STORE_UNAVAILABLE and
 * what the key manager throws
 */
export async function createJwtCa(options: JwtCaOptions): Promise<JwtCa> {
  const ca = new RotatingJwtCa(settleOptions(options));
  await ca.start();
  return ca;
}

type SettledOptions = ReturnType<typeof settleOptions>;

function settleOptions(options: JwtCaOptions) {
  const settled = settleCaOptions(options);
  const {
    jwtSvidTtlSeconds = Math.min(DEFAULT_TTL_SECONDS, settled.caTtlSeconds),
    refreshHintSeconds = DEFAULT_REFRESH_HINT_SECONDS,
  } = options;
  checkTtl('a JWT-SVID', jwtSvidTtlSeconds, 1, settled.caTtlSeconds);
  return { ...settled, jwtSvidTtlSeconds, refreshHintSeconds };
}

class RotatingJwtCa extends ManagedAuthorities<JwtCaAuthority> implements JwtCa {
  readonly #options: SettledOptions;
  readonly #makeSerialNumber: (now: number) => Uint8Array;
  readonly #metrics: CaMetrics;
  #signer: { readonly authority: JwtCaAuthority; readonly key: SigningKey } | undefined;

  constructor(options: SettledOptions) {
    const { bucket, clock, serverId, trustDomain, ownBundle } = options;
    const metrics = caMetricsOf(options.metrics);
    const codec = jwtJournalCodec(trustDomain);
    const publisher = publisherOver(ownBundle);
    super({
      ...options,
      kind: 'jwt',
      journal: createJournal(bucket, serverId, codec),
      publisher,
      peers: createPeers({ ...options, codec, publisher, isLive: options.isLive }),
      gate: createTimeGate({
        holdMs: holdMs(options),
        publishedAt: ({ authorityId }) => ownBundle.findJwt(authorityId)?.publishedAt,
        now: () => clock.now(),
        who: 'who keeps the JWKS',
      }),
      metrics,
    });
    this.#options = options;
    this.#makeSerialNumber = createSerialNumbers(options.random);
    this.#metrics = metrics;
  }

  async issueJwtSvid(request: JwtSvidRequest): Promise<IssuedJwtSvid> {
    const { trustDomain, clock, random, issuer } = this.#options;
    const { spiffeId, includeJti = false } = request;
    checkSubject(spiffeId, trustDomain);
    const audience = parseAudience(request.audience);
    const { authority, key } = this.#requireSigner();
    const now = clock.now();
    this.checkTime(authority, now);
    const { notBefore: issuedAt, notAfter: expiresAt } = leafValidity({
      now,
      issuer: authority,
      ttlSeconds: request.ttlSeconds === 0 ? this.#options.jwtSvidTtlSeconds : request.ttlSeconds,
      backdateSeconds: 0,
      notAfterLimit: request.notAfterLimit,
      kind: 'jwt',
    });
    const id = includeJti ? Buffer.from(random(ID_BYTES)).toString('hex') : undefined;
    const claims = { spiffeId, audience, issuedAt, expiresAt, issuer, id };
    const token = await writeJwtSvid(key, authority.authorityId, claims);
    this.#metrics.jwtSvids.inc();
    return { token, issuedAt, expiresAt, authorityId: authority.authorityId };
  }

  protected override async makeAuthority(now: number): Promise<JwtCaAuthority> {
    const { keyManager, keyType, caTtlSeconds } = this.#options;
    const name = Buffer.from(this.#makeSerialNumber(now)).toString('hex');
    const keyId = `${keyPrefixOf('jwt')}${name}`;
    const { publicKey } = await keyManager.generateKey(keyId, keyType);
    const notAfter = wholeSecond(now + caTtlSeconds * 1000);
    return createJwtAuthority({ keyId, state: 'prepared', issuedAt: now, notAfter, publicKey });
  }

  protected override useAuthority(authority: JwtCaAuthority, key: SigningKey): void {
    this.#signer = { authority, key };
  }

  #requireSigner() {
    this.requireOpen();
    if (this.#signer !== undefined) return this.#signer;
    throw new TrustplaneError('ERR_CA_EXPIRED', 'not everybody knows yet what is to sign here');
  }
}

/** An authority of a short life cannot wait for consumers longer than it has time. */
function holdMs({ refreshHintSeconds, caTtlSeconds, log }: SettledOptions): number {
  const wanted = KNOWN_AFTER_HINTS * refreshHintSeconds * 1000;
  const most = Math.floor(caTtlSeconds * 1000 * LONGEST_HOLD);
  if (wanted > most) {
    log.warn(
      { caTtlSeconds, refreshHintSeconds },
      'JWT authorities live too briefly for consumers that keep the JWKS for the refresh hint',
    );
  }
  return Math.min(wanted, most);
}

function publisherOver(bundle: JwtAuthorityPublisher): AuthorityPublisher<JwtCaAuthority> {
  return {
    find: ({ authorityId }) => bundle.findJwt(authorityId),
    isRefused: ({ authorityId }) =>
      bundle.findJwt(authorityId)?.isTainted === true || bundle.isJwtRevoked(authorityId),
    publish: ({ authorityId, publicKey, notAfter }) =>
      bundle.publishJwt({ keyId: authorityId, publicKey, expiresAt: notAfter }),
    withdraw: ({ authorityId }) => bundle.withdrawJwt(authorityId),
    revoke: ({ authorityId, notAfter }) => bundle.revokeJwt(authorityId, notAfter),
    taint: ({ authorityId }) => bundle.taintJwt(authorityId),
  };
}
