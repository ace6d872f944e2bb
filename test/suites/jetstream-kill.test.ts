import { randomUUID } from 'node:crypto';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLog, systemClock } from '../../src/ops/index.ts';
import { TrustDomain, TrustplaneError } from '../../src/spiffe/index.ts';
import { type Bucket, BucketFeed, openJetStreamStore, type Store } from '../../src/store/index.ts';
import { eventually } from '../programs/eventually.ts';
import { launchNatsCluster, type NatsCluster } from '../programs/launch-nats-cluster.ts';
import type { NatsServer } from '../programs/launch-nats-server.ts';
import { createSeededRandom } from '../programs/seeded-random.ts';

const FAULTS = Number(process.env['FAULTS'] ?? 2);
const SEED = Number(process.env['SEED']);
const WRITERS = 8;
const KEYS_PER_WRITER = 4;
const ACKNOWLEDGED_WHILE_DOWN = 60;
const LONG = { timeoutMs: 60_000 };

/** What is known of a key that one writer has for itself. */
interface Known {
  value: string;
  revision: number;
  /** Tried, and nobody knows with what result. */
  doubted: string[];
}

/** A server of the control plane, as far as the store is concerned. */
interface Party {
  readonly connection: NatsConnection;
  readonly store: Store;
  readonly bucket: Bucket;
  readonly feed: BucketFeed;
  /** What the feed says. */
  readonly view: Map<string, string>;
}

describe(`a store whose nats-servers die (FAULTS=${FAULTS} SEED=${SEED})`, () => {
  const trustDomain = TrustDomain.parse(`${randomUUID()}.test`);
  const known = new Map<string, Known>();
  const tally = { acknowledged: 0, doubted: 0, counted: 0, countsInDoubt: 0 };
  let cluster: NatsCluster;
  let parties: Party[];
  const done = new AbortController();

  beforeAll(async () => {
    cluster = await launchNatsCluster();
    parties = [await openParty(cluster, trustDomain), await openParty(cluster, trustDomain)];
  });
  afterAll(async () => {
    for (const { feed, store, connection } of parties) {
      feed.close();
      await store.close();
      await connection.close();
    }
    await cluster[Symbol.asyncDispose]();
  });

  it(
    'loses nothing it acknowledged, and every watcher sees the last change of each key',
    async () => {
      const random = createSeededRandom(SEED);
      const writing = parties.flatMap((party, p) =>
        Array.from({ length: WRITERS }, (_, w) => writeOn(party.bucket, `p${p}w${w}`)),
      );
      for (let n = 0; n < FAULTS; n++) {
        await acknowledgedMore(ACKNOWLEDGED_WHILE_DOWN);
        // Every other time the one that leads the stream.
        const victim =
          n % 2 === 0 ? await leaderOf(cluster, parties) : pick(cluster.servers, random(3));
        await breakOne(victim, n % 4 < 2 ? 'kill' : 'pause');
      }
      done.abort();
      await Promise.all(writing);
      const [first, second] = await Promise.all(parties.map(async (party) => await end(party)));
      if (first === undefined) throw new Error('there is no party');
      expect(first).toEqual(second);
      checkKeys(first);
      for (const { view } of parties) {
        await eventually('the view is the store', () => isSame(view, first));
      }
      expect(tally.acknowledged).toBeGreaterThan(FAULTS * ACKNOWLEDGED_WHILE_DOWN);
      console.log(`${FAULTS} faults, seed ${SEED}: ${JSON.stringify(tally)}`);
    },
    60_000 + FAULTS * 60_000,
  );

  async function breakOne(victim: NatsServer, how: 'kill' | 'pause'): Promise<void> {
    if (how === 'kill') await victim.kill();
    else victim.pause();
    await acknowledgedMore(ACKNOWLEDGED_WHILE_DOWN);
    if (how === 'kill') await victim.start();
    else victim.resume();
    await eventually(
      'every replica has all',
      async () => (await laggards(parties)).length === 0,
      LONG,
    );
  }

  async function acknowledgedMore(count: number): Promise<void> {
    const goal = tally.acknowledged + count;
    await eventually(`${goal} acknowledged writes`, () => tally.acknowledged > goal, LONG);
  }

  async function writeOn(bucket: Bucket, writer: string): Promise<void> {
    for (let n = 0; !done.signal.aborted; n++) {
      const key = `${writer}.k${n % KEYS_PER_WRITER}`;
      const state = known.get(key) ?? { value: '-', revision: 0, doubted: [] };
      known.set(key, state);
      const value = n % 5 === 4 ? '-' : `${n}.${'x'.repeat((n * 37) % 300)}`;
      await writeOne(bucket, key, value, state);
      if (n % 4 === 0) await count(bucket);
    }
  }

  async function writeOne(bucket: Bucket, key: string, value: string, state: Known): Promise<void> {
    try {
      const revision =
        value === '-'
          ? await bucket.delete(key, state.revision)
          : await bucket.put(key, Buffer.from(value), state.revision);
      Object.assign(state, { value, revision: value === '-' ? 0 : revision, doubted: [] });
      tally.acknowledged++;
    } catch (error) {
      requireDoubt(error);
      tally.doubted++;
      state.doubted.push(value);
      await look(bucket, key, state);
    }
  }

  /** After a doubt: it is as it was or as it was tried. */
  async function look(bucket: Bucket, key: string, state: Known): Promise<void> {
    try {
      const record = await bucket.get(key);
      const value = record === undefined ? '-' : Buffer.from(record.value).toString();
      expect([state.value, ...state.doubted]).toContain(value);
      state.revision = record?.revision ?? 0;
    } catch (error) {
      requireDoubt(error);
    }
  }

  /** One key that all increase by compare-and-set. */
  async function count(bucket: Bucket): Promise<void> {
    try {
      const record = await bucket.get('counter');
      const next = Number(Buffer.from(record?.value ?? []).toString()) + 1;
      await bucket.put('counter', Buffer.from(String(next)), record?.revision ?? 0);
      tally.counted++;
    } catch (error) {
      if (error instanceof TrustplaneError && error.code === 'ERR_STORE_CONFLICT') return;
      requireDoubt(error);
      tally.countsInDoubt++;
    }
  }

  function checkKeys(records: ReadonlyMap<string, string>): void {
    for (const [key, { value, doubted }] of known) {
      expect([value, ...doubted], `the value of ${key}`).toContain(records.get(key) ?? '-');
    }
    const counted = Number(records.get('counter'));
    expect(counted).toBeGreaterThanOrEqual(tally.counted);
    expect(counted).toBeLessThanOrEqual(tally.counted + tally.countsInDoubt);
    expect([...records.keys()].filter((key) => key !== 'counter' && !known.has(key))).toEqual([]);
  }
});

async function openParty(cluster: NatsCluster, trustDomain: TrustDomain): Promise<Party> {
  const connection = await connect({
    servers: [...cluster.urls],
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    pingInterval: 2_000,
    maxPingOut: 2,
  });
  const store = await openJetStreamStore({
    connection,
    trustDomain,
    clock: systemClock,
    monitoringUrls: cluster.servers.map((server) => server.monitorUrl),
  });
  const bucket = store.bucket('tokens');
  const view = new Map<string, string>();
  const feed = new BucketFeed({
    bucket,
    what: 'test',
    clock: systemClock,
    log: silentLog,
    target: {
      onSnapshot({ records }) {
        view.clear();
        for (const { key, value } of records) view.set(key, Buffer.from(value).toString());
      },
      onEvent(event) {
        if (event.type === 'put') view.set(event.key, Buffer.from(event.value).toString());
        else view.delete(event.key);
      },
    },
  });
  await feed.load();
  void feed.follow();
  return { connection, store, bucket, feed, view };
}

async function end({ bucket }: Party): Promise<Map<string, string>> {
  const { records } = await bucket.list('');
  return new Map(records.map(({ key, value }) => [key, Buffer.from(value).toString()]));
}

interface StreamInfo {
  readonly cluster: {
    readonly leader?: string;
    readonly replicas?: readonly { readonly name: string; readonly current: boolean }[];
  };
}

async function leaderOf(cluster: NatsCluster, parties: readonly Party[]): Promise<NatsServer> {
  const [info] = (await streams(parties)).filter(({ config }) => config.name.endsWith('_tokens'));
  const leader = cluster.servers.find(({ name }) => name === info?.cluster.leader);
  if (leader === undefined) throw new Error(`no leader in ${JSON.stringify(info)}`);
  return leader;
}

/** Replicas that do not have all yet. */
async function laggards(parties: readonly Party[]): Promise<string[]> {
  return (await streams(parties)).flatMap(({ config, cluster: { leader, replicas = [] } }) => [
    ...(leader === undefined || replicas.length < 2 ? [config.name] : []),
    ...replicas.filter(({ current }) => !current).map(({ name }) => `${config.name} on ${name}`),
  ]);
}

async function streams(
  parties: readonly Party[],
): Promise<(StreamInfo & { readonly config: { readonly name: string } })[]> {
  const [party] = parties;
  if (party === undefined) throw new Error('there is no party');
  const answer = await party.connection.request('$JS.API.STREAM.LIST', '', { timeout: 5_000 });
  const { streams = [] } = JSON.parse(answer.string());
  return streams;
}

function isSame(view: ReadonlyMap<string, string>, records: ReadonlyMap<string, string>): boolean {
  return (
    view.size === records.size && [...records].every(([key, value]) => view.get(key) === value)
  );
}

function pick<T>(list: readonly T[], index: number): T {
  const picked = list[index];
  if (picked === undefined) throw new Error(`there is no item ${index}`);
  return picked;
}

function requireDoubt(error: unknown): void {
  if (error instanceof TrustplaneError && error.code === 'ERR_STORE_UNAVAILABLE') return;
  throw error;
}
