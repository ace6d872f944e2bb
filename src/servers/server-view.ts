import type { Clock, Timer } from '../spiffe/index.ts';
import type { FeedTarget, LeaseRecord, StoredRecord } from '../store/index.ts';
import { decodeLease } from '../store/index.ts';
import { parseServer, type ServerRecord, serverKey } from './server-record.ts';

/** Of its ttl, for which a server's record stands unchanged before the server counts as gone. */
const GONE_AFTER = 1.1;
/** How long the agents of a server that is gone may take to come to another, and are waited for. */
const HELD_MS = 30_000;
/** Of a record that cannot be read. */
const DEFAULT_TTL_MS = 15_000;
/** How many renewals tell how far a clock is ahead: the quickest of them tells best. */
const SAMPLES = 12;

/** Another server as it is seen here. */
export interface SeenServer {
  readonly serverId: string;
  /** Undefined when what it wrote cannot be read. */
  readonly record: ServerRecord | undefined;
  /** It renews its record; else it is gone. */
  readonly isLive: boolean;
  /** How far its clock is ahead of the one here, at least, in milliseconds; negative: behind, or slow to be heard of. */
  readonly aheadMs: number;
}

interface Held extends SeenServer {
  readonly revision: number;
  readonly ahead: readonly number[];
  readonly timer: Timer;
}

/** The other servers, each until 30 s after it was gone. */
export class ServerView implements FeedTarget {
  readonly #own: string;
  readonly #clock: Clock;
  readonly #onChange: () => void;
  readonly #held = new Map<string, Held>();
  /** Records that were there when first looked; what is older than this view tells no time. */
  #isLoaded = false;

  constructor(options: {
    readonly serverId: string;
    readonly clock: Clock;
    readonly onChange: () => void;
  }) {
    this.#own = serverKey(options.serverId);
    this.#clock = options.clock;
    this.#onChange = options.onChange;
  }

  /** Those who are live, and those whose agents are still waited for. */
  get servers(): readonly SeenServer[] {
    return [...this.#held.values()];
  }

  /** @param key of the lease */
  isLive(key: string): boolean {
    return this.#held.get(key)?.isLive === true;
  }

  onSnapshot({ records }: { readonly records: readonly StoredRecord[] }): void {
    const gone = new Set(this.#held.keys());
    for (const record of records) {
      gone.delete(record.key);
      this.#put(record);
    }
    for (const key of gone) this.#end(key);
    this.#isLoaded = true;
  }

  onEvent(event: Parameters<FeedTarget['onEvent']>[0]): void {
    if (event.type === 'put') this.#put(event);
    else this.#end(event.key);
  }

  close(): void {
    for (const { timer } of this.#held.values()) timer.cancel();
    this.#held.clear();
  }

  #put({ key, value, revision }: StoredRecord): void {
    const before = this.#held.get(key);
    if (key === this.#own || before?.revision === revision) return;
    const lease = decodeLease(value);
    before?.timer.cancel();
    const goneInMs = (lease?.ttlMs ?? DEFAULT_TTL_MS) * GONE_AFTER;
    const ahead = this.#samples(before, lease);
    this.#held.set(key, {
      serverId: key.slice(serverKey('').length),
      record: parseServer(key, lease),
      revision,
      isLive: true,
      aheadMs: ahead.length === 0 ? 0 : Math.max(...ahead),
      ahead,
      timer: this.#clock.setTimer(goneInMs, () => this.#end(key)),
    });
    this.#onChange();
  }

  #samples(before: Held | undefined, lease: LeaseRecord | undefined): readonly number[] {
    if (!this.#isLoaded || lease === undefined) return before?.ahead ?? [];
    return [...(before?.ahead ?? []), lease.renewedAt - this.#clock.now()].slice(-SAMPLES);
  }

  #end(key: string): void {
    const held = this.#held.get(key);
    if (held?.isLive !== true) return;
    held.timer.cancel();
    const timer = this.#clock.setTimer(HELD_MS, () => {
      this.#held.delete(key);
      this.#onChange();
    });
    this.#held.set(key, { ...held, isLive: false, timer });
    this.#onChange();
  }
}
