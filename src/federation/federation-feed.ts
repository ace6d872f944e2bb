import type { Log } from '../ops/index.ts';
import type { Clock } from '../spiffe/index.ts';
import {
  type Bucket,
  BucketFeed,
  type FeedTarget,
  type StoreEvent,
  type StoreSnapshot,
} from '../store/index.ts';

/**
 * Follows the bucket `federation` for the records of each kind in it, all in the one order in which they
 * were written: terms that were written before a bundle are known before it.
 */
export class FederationFeed implements FeedTarget {
  readonly #feed: BucketFeed;
  /** By the beginning of their keys, in the order in which they take a snapshot. */
  readonly #targets = new Map<string, FeedTarget>();
  #following: Promise<void> = Promise.resolve();

  constructor(options: {
    /** The bucket `federation`. */
    readonly bucket: Bucket;
    readonly clock: Clock;
    readonly log: Log;
  }) {
    this.#feed = new BucketFeed({
      ...options,
      what: 'federated trust domains',
      target: this,
      closedCode: 'ERR_FEDERATION_CLOSED',
    });
  }

  /** Before `open`. `kind` is the first part of the keys. */
  attach(kind: string, target: FeedTarget): void {
    this.#targets.set(`${kind}.`, target);
  }

  /** Reads all records and follows their changes until `close`. @throws TrustplaneError ERR_STORE_* */
  async open(): Promise<void> {
    await this.#feed.load();
    this.#following = this.#feed.follow();
  }

  get revision(): number {
    return this.#feed.revision;
  }

  /** See BucketFeed. @throws TrustplaneError ERR_FEDERATION_CLOSED */
  async reached(revision: number): Promise<void> {
    await this.#feed.reached(revision);
  }

  /** See BucketFeed. @throws TrustplaneError ERR_STORE_BEHIND, ERR_STORE_* */
  async catchUp(revision: number): Promise<void> {
    await this.#feed.catchUp(revision);
  }

  onSnapshot(snapshot: StoreSnapshot): void {
    for (const [prefix, target] of this.#targets) {
      const records = snapshot.records.filter(({ key }) => key.startsWith(prefix));
      target.onSnapshot({ ...snapshot, records });
    }
  }

  onEvent(event: StoreEvent): void {
    for (const [prefix, target] of this.#targets) {
      if (event.key.startsWith(prefix)) target.onEvent(event);
    }
  }

  /** Waiting writes reject with ERR_FEDERATION_CLOSED. */
  async close(): Promise<void> {
    this.#feed.close();
    await this.#following;
  }
}
