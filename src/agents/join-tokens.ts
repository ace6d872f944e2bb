import type { Log, Metrics } from '../ops/index.ts';
import {
  type Clock,
  isReservedPath,
  messageOf,
  type SpiffeId,
  type Timer,
  type TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import { type Bucket, type StoredRecord, unlessConflict } from '../store/index.ts';
import {
  decodeJoinToken,
  encodeJoinToken,
  type JoinTokenRecord,
  joinTokenKey,
} from './join-token-record.ts';

/** A token becomes a segment of a SPIFFE ID. The shortest is still too long to be tried out. */
const TOKEN = /^[A-Za-z0-9._-]{16,255}$/u;
const MAX_TTL_SECONDS = 31_536_000;
const PRUNE_INTERVAL_MS = 600_000;
/** Of keys that say that a token is spent. */
const SPENT = 'spent.';

export interface JoinTokensOptions {
  /** The bucket `tokens`. */
  readonly bucket: Bucket;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly log: Log;
  readonly metrics: Metrics;
}

export interface JoinTokenRequest {
  /** 1 to 31,536,000 (365 days). */
  readonly ttlSeconds: number;
  /** 16 to 255 characters of A-Z, a-z, 0-9, ".", "_", "-"; made of 128 random bits if left out. */
  readonly token?: string;
  /** What the agent is to be known as, beside the ID that its token gives it. */
  readonly agentId?: SpiffeId;
}

export interface JoinToken {
  /** A secret until it is spent. */
  readonly token: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
  readonly agentId: SpiffeId | undefined;
}

/**
 * The tokens that nodes join with, each once. The store knows their hashes alone. A spent token stays
 * there, marked, until it would have expired, and beside it a second mark, which holds should the first
 * be undone from a backup.
 */
export class JoinTokens {
  readonly #options: JoinTokensOptions;
  readonly #spends;
  #timer: Timer;
  #pruning: Promise<void> = Promise.resolve();

  private constructor(options: JoinTokensOptions) {
    this.#options = options;
    this.#spends = options.metrics.counter(
      'trustplane_agents_join_token_spends_total',
      'Join tokens that nodes presented.',
      ['outcome'],
    );
    this.#timer = this.#schedule();
  }

  /** Prunes what has expired every 10 minutes, until `close`. */
  static create(options: JoinTokensOptions): JoinTokens {
    return new JoinTokens(options);
  }

  /** @throws TrustplaneError ERR_JOIN_TOKEN, ERR_JOIN_TOKEN_TTL, ERR_JOIN_TOKEN_AGENT_ID, ERR_JOIN_TOKEN_EXISTS, ERR_STORE_* */
  async create(request: JoinTokenRequest): Promise<JoinToken> {
    const { ttlSeconds, token = this.#makeToken(), agentId } = request;
    checkToken(token);
    checkTtl(ttlSeconds);
    if (agentId !== undefined) checkAlias(agentId, this.#options.trustDomain);
    const { bucket, clock } = this.#options;
    const expiresAt = clock.now() + ttlSeconds * 1000;
    const value = encodeJoinToken({ expiresAt, agentId, isSpent: false });
    const key = joinTokenKey(token);
    const isTaken = (await bucket.get(`${SPENT}${key}`)) !== undefined;
    if (isTaken || (await unlessConflict(() => bucket.put(key, value, 0))) === undefined) {
      throw failure(
        'ERR_JOIN_TOKEN_EXISTS',
        'there is such a join token, or was one that is spent',
      );
    }
    return { token, expiresAt, agentId };
  }

  /**
   * Spends a token. Of all who try, on whichever server, one succeeds. Why others do not is not told.
   * @throws TrustplaneError ERR_JOIN_TOKEN_UNUSABLE, ERR_JOIN_TOKEN_RECORD, ERR_STORE_*
   */
  async spend(token: string): Promise<{ readonly agentId: SpiffeId | undefined }> {
    const record = TOKEN.test(token) ? await this.#spend(joinTokenKey(token)) : undefined;
    this.#spends.inc({ outcome: record === undefined ? 'refused' : 'spent' });
    if (record !== undefined) return { agentId: record.agentId };
    throw failure(
      'ERR_JOIN_TOKEN_UNUSABLE',
      'the join token is unknown, spent or expired; `trustplane token generate` makes another',
    );
  }

  /** Deletes what has expired; returns how many tokens that were. @throws TrustplaneError ERR_STORE_* */
  async prune(): Promise<number> {
    const { records } = await this.#options.bucket.list('');
    let pruned = 0;
    for (const record of records) {
      if (!this.#isOver(record) || !(await this.#remove(record))) continue;
      if (!record.key.startsWith(SPENT)) pruned++;
    }
    return pruned;
  }

  async close(): Promise<void> {
    this.#timer.cancel();
    await this.#pruning;
  }

  /** Undefined when there is nothing to spend. */
  async #spend(key: string): Promise<JoinTokenRecord | undefined> {
    const { bucket, clock } = this.#options;
    const mark = `${SPENT}${key}`;
    const [stored, marked] = await Promise.all([bucket.get(key), bucket.get(mark)]);
    if (stored === undefined || marked !== undefined) return undefined;
    const record = decodeJoinToken(key, stored.value);
    if (record.isSpent || clock.now() >= record.expiresAt) return undefined;
    const value = encodeJoinToken({ ...record, isSpent: true });
    // Only a spend or a prune changes the record: who comes late has lost.
    const revision = await unlessConflict(() => bucket.put(key, value, stored.revision));
    if (revision === undefined) return undefined;
    await bucket.put(mark, value);
    return record;
  }

  /** Looks like a UUID, as SPIRE's, but all of it is random. */
  #makeToken(): string {
    const hex = Buffer.from(this.#options.randomBytes(16)).toString('hex');
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/u, '$1-$2-$3-$4-');
  }

  #schedule(): Timer {
    return this.#options.clock.setTimer(PRUNE_INTERVAL_MS, () => {
      this.#pruning = this.#pruneAndSchedule();
    });
  }

  async #pruneAndSchedule(): Promise<void> {
    this.#timer = this.#schedule();
    try {
      await this.prune();
    } catch (error) {
      this.#options.log.warn({ error: messageOf(error) }, 'expired join tokens are still stored');
    }
  }

  #isOver({ key, value }: StoredRecord): boolean {
    try {
      return this.#options.clock.now() >= decodeJoinToken(key, value).expiresAt;
    } catch (error) {
      this.#options.log.error({ key, error: messageOf(error) }, 'a join token cannot be read');
      return false;
    }
  }

  async #remove({ key, revision }: StoredRecord): Promise<boolean> {
    const { bucket } = this.#options;
    return (await unlessConflict(() => bucket.delete(key, revision))) !== undefined;
  }
}

/** @throws TrustplaneError ERR_JOIN_TOKEN, which does not repeat it */
function checkToken(token: string): void {
  if (TOKEN.test(token)) return;
  const expected = '16 to 255 characters of A-Z, a-z, 0-9, ".", "_", "-"';
  throw failure('ERR_JOIN_TOKEN', `token: expected ${expected}; got ${token.length} characters`);
}

function checkTtl(ttlSeconds: number): void {
  if (Number.isInteger(ttlSeconds) && ttlSeconds >= 1 && ttlSeconds <= MAX_TTL_SECONDS) return;
  const message = `ttl: expected 1 to ${MAX_TTL_SECONDS} seconds; got ${ttlSeconds}`;
  throw failure('ERR_JOIN_TOKEN_TTL', message);
}

function checkAlias(id: SpiffeId, trustDomain: TrustDomain): void {
  const isMember = id.trustDomain.equals(trustDomain) && !id.isTrustDomainId;
  if (isMember && !isReservedPath(id)) return;
  const expected = `an ID in ${trustDomain.id} that is not below /spire`;
  throw failure('ERR_JOIN_TOKEN_AGENT_ID', `agent_id: expected ${expected}; got ${id.toString()}`);
}

function failure(code: ConstructorParameters<typeof TrustplaneError>[0], message: string) {
  return new TrustplaneError(code, message);
}
