import { hash } from 'node:crypto';
import type { Log } from '../ops/index.ts';
import {
  type Bundle,
  type Clock,
  messageOf,
  type RegistrationEntry,
  type SpiffeId,
  type TokenAuthority,
  TrustplaneError,
} from '../spiffe/index.ts';
import { checkJwtGrant } from './check-jwt-grant.ts';
import { asIssueError, withTimeout } from './issue-queue.ts';
import type { JwtIssuer } from './jwt-issuer.ts';
import type { JwtMetrics } from './jwt-metrics.ts';
import { LruMap } from './lru-map.ts';
import { recall } from './recall.ts';
import { renewAt, retryDelayMs } from './renewal.ts';
import type { RevocationSource } from './revocation-source.ts';

/** What is kept. Who asks for many audiences drops the tokens of its own entry only. */
export const jwtCacheLimits = {
  entries: 1_000,
  tokensPerEntry: 32,
  /** Of one token; larger ones are not kept. */
  tokenBytes: 4_096,
} as const;

/** How long a new token is awaited while the one at hand is still good. */
const PATIENCE_MS = 1_000;

export interface JwtCacheOptions {
  readonly issuer: JwtIssuer;
  readonly clock: Clock;
  /** From 0 to 1, for jitter. */
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: JwtMetrics;
  /** The own bundle now. */
  readonly bundle: () => Bundle;
  /** Default: nothing is revoked. */
  readonly revocations?: Pick<RevocationSource, 'find'>;
}

/** A JWT-SVID as it was issued for one entry and audience. Immutable. */
export interface IssuedJwt {
  readonly token: string;
  readonly spiffeId: SpiffeId;
  /** By the token itself, milliseconds since the epoch. */
  readonly issuedAt: number;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
  readonly keyId: string;
  /** When it came. */
  readonly receivedAt: number;
  /** What of the entry it was made from; see profileOf. */
  readonly profile: string;
}

/** The place of one audience of one entry. */
interface JwtSlot {
  current: IssuedJwt | undefined;
  /** Milliseconds since the epoch. */
  renewAt: number;
  flight: Promise<IssuedJwt> | undefined;
  failures: number;
}

/**
 * JWT-SVIDs per entry and set of audience values. One is given out until half of its life has passed;
 * then who asks next waits for a new one, for at most a second while the old one is good. An entry
 * that wants a `jti` gets a new token each time.
 */
export class JwtCache {
  readonly #options: JwtCacheOptions;
  readonly #entries = new LruMap<string, LruMap<string, JwtSlot>>(jwtCacheLimits.entries);

  constructor(options: JwtCacheOptions) {
    this.#options = options;
  }

  /** Tokens that are kept. */
  get size(): number {
    let size = 0;
    for (const slots of this.#entries.values()) size += slots.size;
    return size;
  }

  /**
   * A token for the audience, which has no repetitions.
   * @throws TrustplaneError ERR_SVID_ISSUE, ERR_SVID_REFUSED, ERR_SVID_AUTHORITY, ERR_SVID_REVOKED and
   * what the issuer rejects with
   */
  async get(entry: RegistrationEntry, audience: readonly string[]): Promise<IssuedJwt> {
    if (entry.jwtSvidIncludeJti) return await this.#issue(entry, audience);
    const slot = this.#slot(entry, audience);
    const now = this.#options.clock.now();
    const usable = this.#usable(slot, entry);
    if (usable !== undefined && now < slot.renewAt) {
      this.#options.metrics.hits.inc();
      return usable;
    }
    const flight = slot.flight ?? this.#launch(slot, entry, audience);
    if (usable === undefined) return await flight;
    return await this.#patiently(flight, usable);
  }

  /** Drops what no entry entitles to, what has expired and what the bundle no longer verifies. */
  sweep(find: (entryId: string) => RegistrationEntry | undefined): void {
    for (const [entryId, slots] of this.#entries.entries()) {
      const entry = find(entryId);
      for (const [key, slot] of slots.entries()) {
        const usable = entry === undefined ? undefined : this.#usable(slot, entry);
        if (usable !== undefined) this.#hastenTainted(slot, usable);
        else if (entry === undefined || slot.flight === undefined) slots.delete(key);
      }
      if (slots.size === 0) this.#entries.delete(entryId);
    }
    this.#count();
  }

  /** A tainted key still verifies; its tokens are replaced as they are asked for. */
  #hastenTainted(slot: JwtSlot, { keyId }: IssuedJwt): void {
    if (this.#authority(keyId)?.tainted === true) slot.renewAt = 0;
  }

  close(): void {
    this.#entries.clear();
    this.#count();
  }

  #slot({ id }: RegistrationEntry, audience: readonly string[]): JwtSlot {
    const slots = recall(
      this.#entries,
      id,
      () => new LruMap<string, JwtSlot>(jwtCacheLimits.tokensPerEntry),
    );
    const key = hash('sha256', JSON.stringify([...audience].sort()), 'base64');
    return recall(slots, key, () => ({
      current: undefined,
      renewAt: 0,
      flight: undefined,
      failures: 0,
    }));
  }

  /** What may be given out now: of the entry as it is, not expired, of a key that verifies it, not revoked. */
  #usable({ current }: JwtSlot, entry: RegistrationEntry): IssuedJwt | undefined {
    if (current === undefined || current.profile !== profileOf(entry)) return undefined;
    const now = this.#options.clock.now();
    const isOfNow = now < current.expiresAt && now >= current.receivedAt;
    if (!isOfNow || this.#authority(current.keyId) === undefined) return undefined;
    return this.#isRevoked(entry, current) ? undefined : current;
  }

  #authority(keyId: string): TokenAuthority | undefined {
    return this.#options.bundle().jwtAuthorities.find((authority) => authority.keyId === keyId);
  }

  #isRevoked({ id }: RegistrationEntry, { spiffeId, issuedAt }: IssuedJwt): boolean {
    const subject = { spiffeId, entryId: id, issuedAt };
    return this.#options.revocations?.find(subject) !== undefined;
  }

  /** One at a time for each slot. */
  #launch(
    slot: JwtSlot,
    entry: RegistrationEntry,
    audience: readonly string[],
  ): Promise<IssuedJwt> {
    const flight = this.#issue(entry, audience);
    slot.flight = flight;
    flight.then(
      (issued) => this.#land(slot, issued),
      (error: unknown) => this.#fail(slot, entry, error),
    );
    return flight;
  }

  #land(slot: JwtSlot, issued: IssuedJwt): void {
    slot.flight = undefined;
    slot.failures = 0;
    const isTainted = this.#authority(issued.keyId)?.tainted !== false;
    if (isTainted || issued.token.length > jwtCacheLimits.tokenBytes) return;
    slot.current = issued;
    slot.renewAt = renewAt(issued.receivedAt, issued.expiresAt, this.#options.random());
    this.#count();
  }

  #fail(slot: JwtSlot, entry: RegistrationEntry, error: unknown): void {
    const { clock, random, log, metrics } = this.#options;
    const now = clock.now();
    slot.flight = undefined;
    slot.failures++;
    const leftMs = slot.current === undefined ? undefined : slot.current.expiresAt - now;
    slot.renewAt = now + retryDelayMs(slot.failures, leftMs, random());
    metrics.failures.inc();
    log.warn(
      { entryId: entry.id, spiffeId: entry.spiffeId.toString(), error: messageOf(error) },
      'JWT-SVID not issued',
    );
  }

  async #issue(entry: RegistrationEntry, audience: readonly string[]): Promise<IssuedJwt> {
    const { clock, issuer, bundle, metrics } = this.#options;
    const request = { entryId: entry.id, spiffeId: entry.spiffeId, audience };
    const grant = await withTimeout(clock, issuer.issue(request)).catch((error: unknown) => {
      throw asIssueError(error);
    });
    const now = clock.now();
    const svid = checkJwtGrant(grant, request, bundle(), now);
    metrics.issued.inc();
    const issued: IssuedJwt = {
      token: grant.token,
      spiffeId: svid.spiffeId,
      issuedAt: svid.issuedAt ?? grant.issuedAt,
      expiresAt: svid.expiresAt,
      keyId: svid.keyId,
      receivedAt: now,
      profile: profileOf(entry),
    };
    if (!this.#isRevoked(entry, issued)) return issued;
    throw new TrustplaneError('ERR_SVID_REVOKED', 'the JWT-SVID is older than a revocation of it');
  }

  /** The new token if it comes soon, else the one at hand. */
  async #patiently(flight: Promise<IssuedJwt>, usable: IssuedJwt): Promise<IssuedJwt> {
    return await new Promise((resolve) => {
      const settle = (issued: IssuedJwt): void => {
        timer.cancel();
        resolve(issued);
      };
      const timer = this.#options.clock.setTimer(PATIENCE_MS, () => settle(usable));
      flight.then(settle, () => settle(usable));
    });
  }

  #count(): void {
    this.#options.metrics.live.set(this.size);
  }
}

/** What of an entry goes into its JWT-SVIDs: two entries with the same text need no new ones. */
function profileOf(entry: RegistrationEntry): string {
  const { spiffeId, jwtSvidTtlSeconds, jwtSvidIncludeJti, expiresAt } = entry;
  return JSON.stringify([spiffeId.toString(), jwtSvidTtlSeconds, jwtSvidIncludeJti, expiresAt]);
}
