import { hash } from 'node:crypto';
import type { Log, Metrics } from '../ops/index.ts';
import {
  type Clock,
  messageOf,
  parseCertificate,
  quote,
  type Timer,
  type TokenAuthority,
  TrustplaneError,
} from '../spiffe/index.ts';
import type { Bucket } from '../store/index.ts';
import type { JwtAuthorityPublisher, X509AuthorityPublisher } from './authority-publisher.ts';
import { caMetricsOf } from './ca-metrics.ts';
import { loadRefusedKeys, type RefusedKeys } from './refused-keys.ts';
import type {
  MintedAuthority,
  MintRequest,
  UpstreamAuthority,
  UpstreamSigner,
  UpstreamTrust,
} from './upstream-authority.ts';

/** As often as SPIRE's servers ask; more often where upstream wants that. */
const MAX_INTERVAL_MS = 5_000;
/** A certificate is valid through the second of its notAfter. */
const LAST_SECOND_MS = 1_000;

/** What follows an upstream authority needs of the own bundle, beside what is published there already. */
export interface UpstreamPublisher
  extends Pick<X509AuthorityPublisher, 'find' | 'publish' | 'revoke' | 'taint'> {
  /** Adds what is missing, takes over taints, and with `isComplete` takes out the rest of what came this way. */
  merge(trust: UpstreamTrust): Promise<void>;
}

export interface UpstreamFollowerOptions {
  readonly upstream: UpstreamAuthority;
  readonly publisher: UpstreamPublisher;
  /** Subject key identifiers, in hex, of the roots above what signs now or is to sign next. */
  readonly rootsInUse: () => readonly string[];
  /** What `publishing` published, as it stands in the own bundle. */
  readonly ownJwtAuthorities: () => readonly TokenAuthority[];
  /** The bucket `authorities`. */
  readonly bucket: Bucket;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** The own trust domain as it stands upstream, kept in the own bundle. */
export interface UpstreamFollower extends UpstreamSigner {
  /** The last time upstream did not answer, until it does. */
  readonly failure: Error | undefined;
  /** JWT authorities that are made known upstream before they are in the own bundle. */
  publishing(own: JwtAuthorityPublisher): JwtAuthorityPublisher;
  /**
   * Has everything below a root replaced.
   * @throws TrustplaneError ERR_CA_AUTHORITY_ID, ERR_CA_AUTHORITY_STATE, ERR_STORE_*
   */
  taintRoot(upstreamId: string): Promise<void>;
  /**
   * Takes a tainted root out of the bundle for good.
   * @throws TrustplaneError ERR_CA_AUTHORITY_ID, ERR_CA_AUTHORITY_STATE, ERR_STORE_*
   */
  revokeRoot(upstreamId: string): Promise<void>;
  /** Asks upstream now. Never rejects. */
  refresh(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Asks upstream every 5 s, or as often as it wants, whom to trust. What is new there goes into the bundle first; when a root is
 * tainted or revoked, what stands below it is replaced before the bundle says so.
 * @throws TrustplaneError ERR_CA_JOURNAL, ERR_STORE_*
 */
export async function openUpstreamFollower(
  options: UpstreamFollowerOptions,
): Promise<UpstreamFollower> {
  const follower = new Follower(options, await loadRefusedKeys(options.bucket));
  await follower.refresh();
  return follower;
}

class Follower implements UpstreamFollower {
  readonly #options: UpstreamFollowerOptions;
  readonly #refused: RefusedKeys;
  readonly #listeners = new Set<() => Promise<void>>();
  readonly #failures;
  #trust: UpstreamTrust | undefined;
  #failure: Error | undefined;
  #timer: Timer | undefined;
  #refreshing: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: UpstreamFollowerOptions, refused: RefusedKeys) {
    this.#options = options;
    this.#refused = refused;
    this.#failures = caMetricsOf(options.metrics).upstreamFailures;
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  async mint(request: MintRequest): Promise<MintedAuthority> {
    try {
      return await this.#options.upstream.mint(request);
    } catch (error) {
      this.#failures.inc();
      throw error;
    }
  }

  isRefused(root: Uint8Array): boolean {
    if (this.#refused.isRevoked(rootName(root))) return true;
    const found = this.#trust?.x509Authorities.find(
      ({ certificate }) => Buffer.compare(certificate, root) === 0,
    );
    return found === undefined ? this.#trust?.isComplete === true : found.tainted;
  }

  async adopt(root: Uint8Array): Promise<void> {
    await this.#options.publisher.publish(root);
  }

  watch(listener: () => Promise<void>): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  publishing(own: JwtAuthorityPublisher): JwtAuthorityPublisher {
    return {
      findJwt: (keyId) => own.findJwt(keyId),
      taintJwt: (keyId) => own.taintJwt(keyId),
      publishJwt: async (key) => {
        await this.#options.upstream.publishJwt?.(key);
        await own.publishJwt(key);
      },
      isJwtRevoked: (keyId) => own.isJwtRevoked(keyId),
      revokeJwt: async (keyId, expiresAt) => {
        await this.#refused.revoke(jwtName(keyId));
        await own.revokeJwt(keyId, expiresAt);
      },
      withdrawJwt: async (keyId) => {
        await this.#refused.revoke(jwtName(keyId));
        await own.withdrawJwt(keyId);
      },
    };
  }

  async taintRoot(upstreamId: string): Promise<void> {
    await this.#options.publisher.taint(this.#requireIdleRoot(upstreamId));
    this.#options.log.warn({ upstreamId }, 'an upstream authority is tainted');
  }

  async revokeRoot(upstreamId: string): Promise<void> {
    const { publisher, log } = this.#options;
    const root = this.#requireIdleRoot(upstreamId);
    if (publisher.find(root)?.isTainted !== true) {
      throw wrongState(
        `only a tainted upstream authority can be revoked; taint ${upstreamId} first, so that what stands below it is replaced`,
      );
    }
    await this.#refused.revoke(rootName(root));
    await publisher.revoke(root);
    log.warn({ upstreamId }, 'an upstream authority is revoked');
  }

  refresh(): Promise<void> {
    this.#refreshing ??= this.#attempt().finally(() => {
      this.#refreshing = undefined;
      this.#sleep();
    });
    return this.#refreshing;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#refreshing;
  }

  #sleep(): void {
    if (this.#isClosed) return;
    this.#timer?.cancel();
    const hintMs = (this.#trust?.refreshHintSeconds ?? Number.POSITIVE_INFINITY) * 1_000;
    const intervalMs = Math.min(hintMs, MAX_INTERVAL_MS);
    this.#timer = this.#options.clock.setTimer(intervalMs, () => void this.refresh());
  }

  async #attempt(): Promise<void> {
    const { log, upstream } = this.#options;
    try {
      await this.#follow(await upstream.fetchTrust());
      if (this.#failure !== undefined) log.info({ upstream: upstream.name }, 'upstream is back');
      this.#failure = undefined;
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(messageOf(thrown));
      const isNews = this.#failure?.message !== error.message;
      this.#failure = error;
      this.#failures.inc();
      if (isNews)
        log.warn({ upstream: upstream.name, error: error.message }, 'upstream does not answer');
    }
  }

  async #follow(told: UpstreamTrust): Promise<void> {
    const { publisher } = this.#options;
    const trust = this.#usable(told);
    this.#trust = trust;
    await publisher.merge(withoutTaints(trust));
    await Promise.all([...this.#listeners].map((listener) => listener()));
    await publisher.merge(this.#isUsed(trust) ? withoutTaints(trust) : trust);
    await this.#publishMissing(trust);
  }

  /** What has not ended and was not revoked here. */
  #usable({ x509Authorities, jwtAuthorities, ...rest }: UpstreamTrust): UpstreamTrust {
    const now = this.#options.clock.now();
    return {
      ...rest,
      x509Authorities: x509Authorities.filter(
        ({ certificate }) =>
          !this.#refused.isRevoked(rootName(certificate)) &&
          now < parseCertificate(certificate).notAfter + LAST_SECOND_MS,
      ),
      jwtAuthorities: jwtAuthorities.filter(
        ({ keyId, expiresAt = Number.POSITIVE_INFINITY }) =>
          !this.#refused.isRevoked(jwtName(keyId)) && now < expiresAt,
      ),
    };
  }

  /** Something below a tainted root signs still: whoever replaced its SVIDs now would get the same again. */
  #isUsed({ x509Authorities }: UpstreamTrust): boolean {
    const inUse = this.#options.rootsInUse();
    return x509Authorities.some(
      ({ certificate, tainted }) => tainted && inUse.includes(idOf(certificate)),
    );
  }

  /** An upstream server that was restored from a backup may have lost them. */
  async #publishMissing({ jwtAuthorities, isComplete }: UpstreamTrust): Promise<void> {
    if (!isComplete) return;
    const { clock, upstream } = this.#options;
    for (const key of this.#options.ownJwtAuthorities()) {
      const isKnown = jwtAuthorities.some(({ keyId }) => keyId === key.keyId);
      const isOver = (key.expiresAt ?? 0) <= clock.now();
      if (!isKnown && !isOver) await upstream.publishJwt?.(key);
    }
  }

  #requireIdleRoot(upstreamId: string): Uint8Array {
    const roots = this.#trust?.x509Authorities ?? [];
    const root = roots.find(({ certificate }) => idOf(certificate) === upstreamId);
    if (root === undefined) {
      const known = roots.map(({ certificate }) => idOf(certificate)).join(', ');
      throw new TrustplaneError(
        'ERR_CA_AUTHORITY_ID',
        `expected one of the upstream authorities, ${known}; got ${quote(upstreamId)}`,
      );
    }
    if (!this.#options.rootsInUse().includes(upstreamId)) return root.certificate;
    throw wrongState(
      `the upstream authority ${upstreamId} stands above the authority that signs now, or next; have it replaced upstream, then prepare and activate another one here`,
    );
  }
}

function withoutTaints(trust: UpstreamTrust): UpstreamTrust {
  const { x509Authorities, jwtAuthorities } = trust;
  return {
    x509Authorities: x509Authorities.map((one) => ({ ...one, tainted: false })),
    jwtAuthorities,
    isComplete: false,
  };
}

function idOf(certificate: Uint8Array): string {
  return Buffer.from(parseCertificate(certificate).subjectKeyId ?? []).toString('hex');
}

function rootName(certificate: Uint8Array): string {
  return `x509:${hash('sha256', certificate)}`;
}

function jwtName(keyId: string): string {
  return `jwt:${keyId}`;
}

function wrongState(message: string): TrustplaneError {
  return new TrustplaneError('ERR_CA_AUTHORITY_STATE', message);
}
