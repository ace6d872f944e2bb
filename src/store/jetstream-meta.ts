import type { Clock } from '../spiffe/clock.ts';
import { messageOf, TrustplaneError } from '../spiffe/errors.ts';
import { JetStreamAnswer, type JetStreamApi } from './jetstream-api.ts';
import { type WriteBudget } from './jetstream-budget.ts';
import type { HorizonKeeper } from './jetstream-follower.ts';
import { JetStreamMarkers } from './jetstream-markers.ts';
import { withPatience } from './jetstream-patience.ts';
import type { JetStreamPlace } from './jetstream-place.ts';
import { fetchLast } from './jetstream-reader.ts';
import { readRecord } from './jetstream-record.ts';
import { JetStreamWriter } from './jetstream-writer.ts';
import type { BucketName } from './store.ts';
import { unlessConflict } from './unless-conflict.ts';

/** Of how the buckets are laid out. */
const VERSION = 1;
const STORE = 'store';

export interface JetStreamMetaOptions {
  readonly api: JetStreamApi;
  readonly place: JetStreamPlace;
  readonly clock: Clock;
  readonly budget: WriteBudget;
  readonly createId: () => string;
}

/** What a store keeps of itself: whose it is, and how far back the watches of each bucket reach. */
export class JetStreamMeta {
  readonly #options: JetStreamMetaOptions;
  readonly #writer: JetStreamWriter;

  constructor(options: JetStreamMetaOptions) {
    this.#options = options;
    this.#writer = new JetStreamWriter({
      ...options,
      markers: new JetStreamMarkers(options.clock),
      knownRevision: () => 0,
      onWritten: () => {},
    });
  }

  /**
   * Claims the store for a trust domain, or makes sure that it is its.
   * @throws TrustplaneError ERR_STORE_TRUST_DOMAIN, ERR_STORE_SCHEMA, ERR_STORE_*
   */
  async claim(trustDomain: string): Promise<void> {
    await unlessConflict(() => this.#write(STORE, { version: VERSION, trustDomain }, 0));
    const claim = (await this.#read(STORE))?.content;
    const version = claim?.number('version') ?? 0;
    if (version > VERSION) {
      throw new TrustplaneError(
        'ERR_STORE_SCHEMA',
        `the store on NATS has version ${version}, and this trustplane knows versions up to ${VERSION}; run the newer trustplane that made it`,
      );
    }
    const owner = claim?.get('trustDomain');
    if (owner === trustDomain) return;
    throw new TrustplaneError(
      'ERR_STORE_TRUST_DOMAIN',
      `the store on NATS belongs to the trust domain ${String(owner)}, expected ${trustDomain}`,
    );
  }

  /** Of one bucket. */
  horizonOf(bucket: BucketName): HorizonKeeper {
    const key = `horizon.${bucket}`;
    return {
      read: async (created) => horizonIn((await this.#read(key))?.content, created),
      raise: async (created, revision) => {
        for (;;) {
          const current = await this.#read(key);
          if (horizonIn(current?.content, created) >= revision) return;
          const next = { created, revision };
          const written = await unlessConflict(() =>
            this.#write(key, next, current?.revision ?? 0),
          );
          if (written !== undefined) return;
        }
      },
    };
  }

  async drain(): Promise<void> {
    await this.#writer.drain();
  }

  async #read(
    key: string,
  ): Promise<{ readonly revision: number; readonly content: JetStreamAnswer } | undefined> {
    const { api, place, clock } = this.#options;
    const message = await withPatience(clock, `the stream ${place.stream}`, () =>
      fetchLast(api, place, key),
    );
    if (message === undefined) return undefined;
    const { event } = readRecord(place, message);
    if (event.type === 'delete') return undefined;
    try {
      const content = new JetStreamAnswer(JSON.parse(Buffer.from(event.value).toString()));
      return { revision: event.revision, content };
    } catch (error) {
      throw new TrustplaneError(
        'ERR_STORE_DAMAGED',
        `the record ${key} of the stream ${place.stream} cannot be read: ${messageOf(error)}`,
      );
    }
  }

  async #write(key: string, content: object, expected: number): Promise<number> {
    return await this.#writer.put(key, Buffer.from(JSON.stringify(content)), expected);
  }
}

/** That of another stream of the same name says nothing. */
function horizonIn(content: JetStreamAnswer | undefined, created: string): number {
  return content?.get('created') === created ? content.number('revision') : 0;
}
