import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { connect } from '@nats-io/transport-node';
import { expect, it, onTestFinished } from 'vitest';
import { createMetrics, systemClock } from '../../src/ops/index.ts';
import { type Clock, TrustDomain, TrustplaneError } from '../../src/spiffe/index.ts';
import { type Bucket, openJetStreamStore } from '../../src/store/index.ts';
import { buildPlace } from '../../src/store/jetstream-place.ts';
import { eventually } from '../programs/eventually.ts';
import { launchNatsCluster, type NatsCluster } from '../programs/launch-nats-cluster.ts';
import type { NatsServer } from '../programs/launch-nats-server.ts';

const RECORDS = 300;
const trustDomain = TrustDomain.parse('example.org');
const { stream } = buildPlace(trustDomain.name, 'entries');

/** What the store does every 20 s it does every second. */
const hurried: Clock = {
  now: () => systemClock.now(),
  setTimer: (ms, fire) => systemClock.setTimer(ms === 20_000 ? 1_000 : ms, fire),
};

it('a nats-server whose file was cut is found, and does not stay the leader', async () => {
  const { cluster, bucket, metrics, ask } = await open();
  const victim = await damageFollower(cluster, ask, (bytes) =>
    bytes.subarray(0, bytes.length >> 1),
  );
  await eventually('it is found', async () =>
    (await metrics.render()).includes('trustplane_store_damaged_replicas 1'),
  );
  await lead(victim, ask);
  await eventually('another one leads', async () => (await leader(ask)) !== victim.name);
  const records = await Promise.all(keys().map((key) => bucket.get(key)));
  expect(records.map((record) => record?.key)).toEqual(keys());
});

it('a record that rotted on the disk of the leader is not taken for none', async () => {
  const { cluster, bucket, ask } = await open();
  const victim = await damageFollower(cluster, ask, (bytes) => {
    const middle = bytes.length >> 1;
    return bytes.map((byte, i) => (i > middle && i < middle + 100 ? byte ^ 0xff : byte));
  });
  await lead(victim, ask);
  const gets = await Promise.all(keys().map((key) => keyOrCode(bucket, key)));
  expect(gets).toContain('ERR_STORE_UNAVAILABLE');
  const read = gets.filter((each) => each !== 'ERR_STORE_UNAVAILABLE');
  expect(read).toEqual(keys().filter((key) => read.includes(key)));
  expect((await bucket.list('')).records).toHaveLength(RECORDS);
});

/** The key of the record that is there, or the code of the error. */
async function keyOrCode(bucket: Bucket, key: string): Promise<unknown> {
  return await bucket.get(key).then(
    (record) => record?.key,
    (error: unknown) => (error instanceof TrustplaneError ? error.code : error),
  );
}

type Ask = (verb: string, request?: object) => Promise<ReturnType<typeof JSON.parse>>;

async function open() {
  const cluster = await launchNatsCluster();
  onTestFinished(async () => await cluster[Symbol.asyncDispose]());
  const connection = await connect({ servers: [...cluster.urls], maxReconnectAttempts: -1 });
  onTestFinished(async () => await connection.close());
  const metrics = createMetrics();
  const monitoringUrls = cluster.servers.map((server) => server.monitorUrl);
  const common = { connection, trustDomain, clock: hurried, metrics, monitoringUrls };
  const store = await openJetStreamStore(common);
  onTestFinished(async () => await store.close());
  const bucket = store.bucket('entries');
  for (const key of keys()) await bucket.put(key, new Uint8Array(300));
  const ask: Ask = async (verb, request = {}) => {
    const options = { timeout: 5_000 };
    const text = JSON.stringify(request);
    return (await connection.request(`$JS.API.${verb}.${stream}`, text, options)).json();
  };
  return { cluster, bucket, metrics, ask };
}

function keys(): string[] {
  return Array.from({ length: RECORDS }, (_, i) => `k${i}`);
}

/** Stops one that does not lead, changes the file of its records, and starts it again. */
async function damageFollower(
  cluster: NatsCluster,
  ask: Ask,
  change: (bytes: Uint8Array) => Uint8Array,
): Promise<NatsServer> {
  const first = await leader(ask);
  const victim = cluster.servers.find(({ name }) => name !== first);
  if (victim === undefined) throw new Error('there is no other server');
  await current(ask);
  await victim.stop();
  const files = readdirSync(victim.folder, { recursive: true, encoding: 'utf8' });
  const file = files.find((each) => each.endsWith(path.join(stream, 'msgs', '1.blk')));
  if (file === undefined) throw new Error(`no file of ${stream} in ${victim.folder}`);
  const place = path.join(victim.folder, file);
  writeFileSync(place, change(readFileSync(place)));
  await victim.start();
  await current(ask);
  return victim;
}

async function current(ask: Ask): Promise<void> {
  await eventually(
    'every copy has all',
    async () => {
      const { cluster } = await ask('STREAM.INFO');
      return (
        cluster?.replicas?.length === 2 &&
        cluster.replicas.every((each: { current: boolean }) => each.current)
      );
    },
    { timeoutMs: 30_000 },
  );
}

async function leader(ask: Ask): Promise<string | undefined> {
  return (await ask('STREAM.INFO')).cluster?.leader;
}

/** Makes it lead, if only for a while. */
async function lead(server: NatsServer, ask: Ask): Promise<void> {
  await eventually(
    `${server.name} leads`,
    async () => {
      await ask('STREAM.LEADER.STEPDOWN', { placement: { preferred: server.name } });
      return await eventually('one leads', () => leader(ask)).then((name) => name === server.name);
    },
    { timeoutMs: 30_000, everyMs: 500 },
  );
}
