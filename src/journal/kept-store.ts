import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import { type Bucket, BucketFeed, type BucketName, type Store } from '../store/index.ts';
import { type AssertedFacts, FactKeeper, type FactKeeperOptions } from './fact-keeper.ts';

/** A store whose lasting records are in a journal too before a change of them is acknowledged. */
export interface KeptStore extends Store {
  /** What the store had lost when this was opened. */
  readonly asserted: AssertedFacts;
}

/**
 * Asserts the journal to the store, then remembers each change, of this server and of others, and asserts
 * it again whenever the store's feed was in doubt. `close` closes neither store nor journal.
 * @throws TrustplaneError ERR_STORE_*, ERR_JOURNAL_*
 */
export async function keepStore(options: FactKeeperOptions): Promise<KeptStore> {
  const kept = new JournaledStore(options);
  const asserted = await kept.open();
  return {
    asserted,
    bucket: (name) => kept.bucket(name),
    close: () => kept.close(),
  };
}

class JournaledStore {
  readonly #options: FactKeeperOptions;
  readonly #keeper: FactKeeper;
  readonly #buckets = new Map<BucketName, Bucket>();
  #feeds: readonly BucketFeed[] = [];
  #following: Promise<unknown> = Promise.resolve();
  #asserting: Promise<void> = Promise.resolve();
  #isDoubted = false;
  #isClosed = false;

  constructor(options: FactKeeperOptions) {
    this.#options = options;
    this.#keeper = new FactKeeper(options);
    for (const name of this.#keeper.buckets) this.#buckets.set(name, this.#noting(name));
  }

  async open(): Promise<AssertedFacts> {
    const asserted = await this.#keeper.assert();
    this.#feeds = this.#keeper.buckets.map((name) => this.#feed(name));
    await Promise.all(this.#feeds.map((feed) => feed.loadInParts(() => {})));
    this.#following = Promise.all(this.#feeds.map((feed) => feed.follow()));
    return asserted;
  }

  bucket(name: BucketName): Bucket {
    return this.#buckets.get(name) ?? this.#options.store.bucket(name);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const feed of this.#feeds) feed.close();
    await this.#following;
    await this.#asserting;
  }

  #noting(name: BucketName): Bucket {
    const inner = this.#options.store.bucket(name);
    const { journal } = this.#options;
    const keeper = this.#keeper;
    return {
      async get(key) {
        // What could not be remembered yet must not be answered for as if it was.
        await journal.settled();
        return await inner.get(key);
      },
      put: async (key, value, expected) => {
        const before = keeper.seen(name);
        const revision = await inner.put(key, value, expected);
        await this.#requireLater(name, revision, before);
        await keeper.note(name, { type: 'put', key, value, revision });
        return revision;
      },
      delete: async (key, expected) => {
        const before = keeper.seen(name);
        const revision = await inner.delete(key, expected);
        if (revision === undefined) return undefined;
        await this.#requireLater(name, revision, before);
        await keeper.note(name, { type: 'delete', key, revision });
        return revision;
      },
      list: (prefix) => inner.list(prefix),
      scan: (prefix, take) => inner.scan(prefix, take),
      watch: (prefix, from, signal) => inner.watch(prefix, from, signal),
    };
  }

  /**
   * A change that is not later than what was seen before it was begun is one of a store that was set back. Whether
   * it stays is open then. @throws TrustplaneError ERR_STORE_UNAVAILABLE
   */
  async #requireLater(name: BucketName, revision: number, before: number): Promise<void> {
    if (revision > before) return;
    this.#keeper.doubt(name, revision - 1, before);
    this.#doubt();
    await this.#asserting;
    throw new TrustplaneError(
      'ERR_STORE_UNAVAILABLE',
      `the bucket ${name} was at revision ${before} and wrote revision ${revision}: the store was set back meanwhile; try again`,
    );
  }

  /** It begins where the assertion ended. */
  #feed(name: BucketName): BucketFeed {
    const { store, clock, log } = this.#options;
    const inner = store.bucket(name);
    const seen = this.#keeper.seen(name);
    return new BucketFeed({
      bucket: {
        get: (key) => inner.get(key),
        put: (key, value, expected) => inner.put(key, value, expected),
        delete: (key, expected) => inner.delete(key, expected),
        list: (prefix) => inner.list(prefix),
        scan: async () => seen,
        watch: (prefix, from, signal) => inner.watch(prefix, from, signal),
      },
      what: `${name} for the journal`,
      target: {
        onSnapshot: () => this.#doubt(),
        onEvent: (event) => this.#keeper.noteSoon(name, event),
      },
      clock,
      log,
    });
  }

  /** Several feeds break together: they are answered by one assertion. */
  #doubt(): void {
    if (this.#isDoubted || this.#isClosed) return;
    this.#isDoubted = true;
    this.#asserting = this.#assertAfter(this.#asserting);
  }

  async #assertAfter(former: Promise<void>): Promise<void> {
    await former;
    this.#isDoubted = false;
    if (this.#isClosed) return;
    try {
      await this.#keeper.assert();
    } catch (error) {
      if (this.#isClosed) return;
      this.#options.log.error({ error: messageOf(error) }, 'the journal could not be asserted');
      this.#options.clock.setTimer(5_000, () => this.#doubt());
    }
  }
}
