import { randomUUID } from 'node:crypto';
import { silentLog } from '../ops/log.ts';
import { TrustplaneError } from '../spiffe/errors.ts';
import type { TrustDomain } from '../spiffe/trust-domain.ts';
import { JetStreamApi } from './jetstream-api.ts';
import { ReplicaAudit } from './jetstream-audit.ts';
import { JetStreamBucket } from './jetstream-bucket.ts';
import { WriteBudget } from './jetstream-budget.ts';
import { JetStreamMeta } from './jetstream-meta.ts';
import type { JetStreamStoreOptions } from './jetstream-options.ts';
import { withPatience } from './jetstream-patience.ts';
import { buildPlace, type JetStreamPlace } from './jetstream-place.ts';
import { checkServer, checkSync } from './jetstream-safety.ts';
import { checkStream, createStream, hasStream } from './jetstream-streams.ts';
import { type Bucket, type BucketName, bucketNames, type Store } from './store.ts';
import { createStoreMonitor } from './store-monitor.ts';

/** As `openJetStreamStore`. */
export async function openJetStream(options: JetStreamStoreOptions): Promise<Store> {
  const { connection, clock, trustDomain } = options;
  const api = new JetStreamApi(connection);
  checkServer(connection);
  await withPatience(clock, 'JetStream', async () => await api.call('INFO'));
  const places = bucketNames.map((name) => buildPlace(trustDomain.name, name));
  const meta = buildPlace(trustDomain.name, 'meta');
  const servers = await makeStreams(api, [...places, meta], meta, options);
  const { log = silentLog, metrics, monitoringUrls = [] } = options;
  const streams = new Set([...places, meta].map(({ stream }) => stream));
  const audit = new ReplicaAudit({ api, clock, log, metrics, monitoringUrls, streams, servers });
  const store = new JetStreamStore(api, meta, audit, options);
  await store.open();
  return store;
}

/** Returns the names of the servers that hold them. @throws TrustplaneError ERR_STORE_MISSING, ERR_STORE_UNSAFE, ERR_STORE_UNAVAILABLE */
async function makeStreams(
  api: JetStreamApi,
  places: readonly JetStreamPlace[],
  meta: JetStreamPlace,
  options: JetStreamStoreOptions,
): Promise<ReadonlySet<string>> {
  const { clock, replicas = 3, mayCreate = true, log = silentLog } = options;
  const patiently = async <T>(attempt: () => Promise<T>): Promise<T> =>
    await withPatience(clock, 'JetStream', attempt);
  // It is the last one made: where it is the others were.
  const isThere = await patiently(async () => await hasStream(api, meta));
  for (const place of places) {
    if (await patiently(async () => await hasStream(api, place))) continue;
    if (isThere || !mayCreate) throw missing(place);
    await patiently(async () => await createStream(api, place, replicas));
  }
  const checked = await Promise.all(
    places.map((place) => patiently(async () => await checkStream(api, place, replicas))),
  );
  const servers = new Set(checked.flatMap((stream) => stream.servers));
  await checkSync({ ...options, replicas, log, servers });
  return servers;
}

function missing({ stream }: JetStreamPlace): TrustplaneError {
  return new TrustplaneError(
    'ERR_STORE_MISSING',
    `there is no stream ${stream} on NATS, although this store has been in use; restore it from a backup, or look whether this is the right NATS`,
  );
}

/** The buckets behind one connection. */
class JetStreamStore implements Store {
  readonly #budget: WriteBudget;
  readonly #meta: JetStreamMeta;
  readonly #audit: ReplicaAudit;
  readonly #buckets: ReadonlyMap<BucketName, JetStreamBucket>;
  readonly #trustDomain: TrustDomain;
  readonly #faults = new Map<string, string>();
  #closing: Promise<void> | undefined;

  constructor(
    api: JetStreamApi,
    place: JetStreamPlace,
    audit: ReplicaAudit,
    options: JetStreamStoreOptions,
  ) {
    const { clock, metrics, trustDomain, log = silentLog, onWrites = () => {} } = options;
    const note = (who: string, fault: string | undefined): void => {
      const before = this.#fault;
      if (fault === undefined) this.#faults.delete(who);
      else this.#faults.set(who, fault);
      if (this.#fault !== before) onWrites(this.#fault);
    };
    const monitor = createStoreMonitor(log, metrics, (fault) => note('writes', fault));
    const common = {
      api,
      clock,
      log,
      createId: randomUUID,
      budget: new WriteBudget(monitor, clock),
    };
    const meta = new JetStreamMeta({ ...common, place });
    const createBucket = (name: BucketName): JetStreamBucket =>
      new JetStreamBucket({
        ...common,
        place: buildPlace(trustDomain.name, name),
        horizon: meta.horizonOf(name),
        onHealth: (fault) => note(name, fault),
      });
    this.#trustDomain = trustDomain;
    this.#budget = common.budget;
    this.#meta = meta;
    this.#audit = audit;
    this.#buckets = new Map(bucketNames.map((name) => [name, createBucket(name)]));
  }

  /** @throws TrustplaneError ERR_STORE_* */
  async open(): Promise<void> {
    await this.#meta.claim(this.#trustDomain.name);
    const opened = await Promise.allSettled([...this.#buckets.values()].map((each) => each.open()));
    const failed = opened.find((each) => each.status === 'rejected');
    if (failed === undefined) return this.#audit.start();
    await this.close();
    throw failed.reason;
  }

  bucket(name: BucketName): Bucket {
    const bucket = this.#buckets.get(name);
    if (bucket === undefined) throw new TrustplaneError('ERR_INTERNAL', `no bucket ${name}`);
    return bucket;
  }

  /** One of those there are. */
  get #fault(): string | undefined {
    return this.#faults.values().next().value;
  }

  close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  async #shutDown(): Promise<void> {
    this.#budget.close();
    this.#audit.close();
    const buckets = [...this.#buckets.values()];
    await Promise.all([this.#meta.drain(), ...buckets.map((bucket) => bucket.drain())]);
    for (const bucket of buckets) bucket.close();
  }
}
