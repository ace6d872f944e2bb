import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connect, headers, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { StampedClock } from '../../test/fakes/stamped-clock.ts';
import { eventually } from '../../test/programs/eventually.ts';
import { launchNatsServer, type NatsServer } from '../../test/programs/launch-nats-server.ts';
import { silentLog } from '../ops/log.ts';
import type { Clock } from '../spiffe/clock.ts';
import { TrustDomain } from '../spiffe/trust-domain.ts';
import { JetStreamApi } from './jetstream-api.ts';
import { WriteBudget } from './jetstream-budget.ts';
import { JetStreamMeta } from './jetstream-meta.ts';
import { openJetStreamStore } from './jetstream-open.ts';
import type { JetStreamStoreOptions } from './jetstream-options.ts';
import { buildPlace } from './jetstream-place.ts';
import { recordHeaders } from './jetstream-record.ts';
import { checkSync, type SyncCheckOptions } from './jetstream-safety.ts';
import type { Store, StoreEvent } from './store.ts';
import { createStoreMonitor } from './store-monitor.ts';
import { storeLimits } from './store-rules.ts';

const ACCOUNTS = `accounts {
  SYS { users: [{user: sys, password: sys}], exports: [{service: "$SYS.REQ.SERVER.PING.JSZ", response_type: stream}] }
  OPEN { jetstream: enabled, users: [{user: open, password: x}], imports: [{service: {account: SYS, subject: "$SYS.REQ.SERVER.PING.JSZ"}}] }
  CLOSED { jetstream: enabled, users: [{user: closed, password: x}] }
  SMALL { jetstream: {max_file: 2MB}, users: [{user: small, password: x}] }
  NONE { users: [{user: none, password: x}] }
}
system_account: SYS`;

let server: NatsServer;
beforeAll(async () => {
  server = await launchNatsServer({ jetStream: true, config: ACCOUNTS });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

describe('a store in JetStream', () => {
  const closing: (() => Promise<unknown>)[] = [];
  let trustDomain: TrustDomain;
  let clock: StampedClock;
  let connection: NatsConnection;

  beforeEach(async () => {
    trustDomain = TrustDomain.parse(`${randomUUID()}.test`);
    clock = new StampedClock();
    connection = await connectAs('open');
  });
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  async function connectAs(user: string): Promise<NatsConnection> {
    const made = await connect({ servers: server.url, user, pass: 'x' });
    closing.push(() => made.close());
    return made;
  }

  async function open(options: Partial<JetStreamStoreOptions> = {}): Promise<Store> {
    const common = { connection, trustDomain, clock, replicas: 1, isTest: true };
    const store = await openJetStreamStore({ ...common, ...options });
    closing.push(() => store.close());
    return store;
  }

  const place = (): ReturnType<typeof buildPlace> => buildPlace(trustDomain.name, 'entries');

  async function ask(verb: string, request: object = {}): Promise<string> {
    const { stream } = place();
    const answer = await connection.request(`$JS.API.${verb}.${stream}`, JSON.stringify(request));
    return answer.string();
  }

  describe('of two servers', () => {
    it('is one: each sees and minds what the other wrote', async () => {
      const [first, second] = [(await open()).bucket('entries'), (await open()).bucket('entries')];
      const revision = await first.put('a', bytes('1'), 0);
      expect(await codeOf(second.put('a', bytes('2'), 0))).toBe('ERR_STORE_CONFLICT');
      expect(await second.put('a', bytes('2'), revision)).toBe(revision + 1);
      expect(await first.delete('a', revision + 1)).toBe(revision + 2);
      expect(await second.delete('a')).toBeUndefined();
      expect(await second.put('a', bytes('3'), 0)).toBe(revision + 3);
      expect(await first.get('a')).toMatchObject({ value: bytes('3') });
    });

    it('lets one of them win a key that was deleted', async () => {
      const buckets = [(await open()).bucket('entries'), (await open()).bucket('entries')];
      for (let round = 0; round < 20; round++) {
        const created = await Promise.allSettled(
          buckets.map((bucket, i) => bucket.put('lock', bytes(`${i}`), 0)),
        );
        expect(created.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
        const deleted = await Promise.all(buckets.map((bucket) => bucket.delete('lock')));
        expect(deleted.filter((revision) => revision !== undefined)).toHaveLength(1);
      }
    });
  });

  describe('whose stream is not what it was', () => {
    it('tells watchers when it was made anew', async () => {
      const bucket = (await open()).bucket('entries');
      await bucket.put('a', bytes('1'));
      const watch = take(bucket.watch('', 0, new AbortController().signal), 2);
      const config = JSON.parse(await ask('STREAM.INFO')).config;
      await ask('STREAM.DELETE');
      await ask('STREAM.CREATE', config);
      expect(await codeOf(watch)).toBe('ERR_STORE_COMPACTED');
      await eventually('the bucket is read again', async () => {
        const { records } = await bucket.list('');
        return records.length === 0;
      });
      const again = eventually('it is watched again', () =>
        take(bucket.watch('', 0, new AbortController().signal), 1).catch(() => undefined),
      );
      await bucket.put('b', bytes('1'));
      expect(await again).toMatchObject([{ key: 'b', revision: 1 }]);
    });

    it('leaves no watcher behind when the stream cannot be followed at first', async () => {
      let refused = 0;
      let isRefusing = false;
      const request: NatsConnection['request'] = (subject, payload, options) => {
        const isFollowing = String(payload).includes('deliver_subject');
        if (!isRefusing || !isFollowing) return connection.request(subject, payload, options);
        refused++;
        return Promise.reject(new Error('lost on the way'));
      };
      const lossy = new Proxy(connection, {
        get: (target, name) => {
          const own: unknown = name === 'request' ? request : Reflect.get(target, name);
          return typeof own === 'function' ? own.bind(target) : own;
        },
      });
      const bucket = (await open({ connection: lossy })).bucket('entries');
      await bucket.put('a', bytes('1'));
      const { config } = JSON.parse(await ask('STREAM.INFO'));
      isRefusing = true;
      await ask('STREAM.DELETE');
      await ask('STREAM.CREATE', config);
      await eventually('it is begun anew', () => refused > 0);
      const watch = take(bucket.watch('', 0, new AbortController().signal), 1).then(
        (events) => events[0]?.key,
        () => 'told',
      );
      await eventually('it is tried again', () => refused > 2);
      isRefusing = false;
      await eventually(
        'it can be written',
        async () => (await codeOf(bucket.put('b', bytes('1')))) === 'fulfilled',
      );
      expect(['b', 'told']).toContain(await watch);
    });

    it('waits before it reads what cannot be read again', async () => {
      const told: number[] = [];
      let waits = 0;
      const counting: Clock = {
        now: () => clock.now(),
        setTimer(ms, fire) {
          waits++;
          return clock.setTimer(ms, fire);
        },
      };
      const log = { ...silentLog, error: () => void told.push(waits) };
      const bucket = (await open({ clock: counting, log })).bucket('entries');
      await bucket.put('a', bytes('1'));
      const options = { headers: headers(), timeout: 2_000 };
      await connection.request(place().subjectOf('a'), 'of somebody else', options);
      await eventually('it is tried three times', () => told.length > 2);
      expect(new Set(told).size).toBe(told.length);
    });

    it('tells watchers at once when a write shows that changes are lost', async () => {
      const bucket = (await open()).bucket('entries');
      for (let i = 0; i < 5; i++) await bucket.put('a', bytes('1'));
      const watch = codeOf(take(bucket.watch('', 5, new AbortController().signal), 2));
      const config = JSON.parse(await ask('STREAM.INFO')).config;
      await ask('STREAM.DELETE');
      await ask('STREAM.CREATE', config);
      await bucket.put('a', bytes('1'));
      expect(await watch).toBe('ERR_STORE_COMPACTED');
    });

    it('is not opened without one of its streams', async () => {
      await (await open()).close();
      await ask('STREAM.DELETE');
      expect(await codeOf(open())).toBe('ERR_STORE_MISSING');
    });

    it('is not made by a server that has been here before', async () => {
      expect(await codeOf(open({ mayCreate: false }))).toBe('ERR_STORE_MISSING');
      await (await open()).close();
      await open({ mayCreate: false });
    });

    it('is refused with settings that would lose or hide records', async () => {
      await (await open()).close();
      const config = JSON.parse(await ask('STREAM.INFO')).config;
      await ask('STREAM.UPDATE', { ...config, allow_direct: true });
      await expect(open()).rejects.toThrow(/has allow_direct true, expected false/u);
    });
  });

  describe('with a record that is not what was written', () => {
    it.each([
      ['a value of somebody else', {}],
      ['another value under our checksum', { 'Trustplane-Crc32': '00000000', 'Nats-Msg-Id': 'x' }],
    ])('refuses %s wherever it is read', async (_, fields) => {
      const bucket = (await open()).bucket('entries');
      await bucket.put('a', bytes('1'));
      const watch = codeOf(take(bucket.watch('', 0, new AbortController().signal), 3));
      const hdrs = headers();
      for (const [name, value] of Object.entries(fields)) hdrs.set(name, value);
      await connection.request(place().subjectOf('a'), '2', { headers: hdrs, timeout: 2_000 });
      expect(await codeOf(bucket.get('a'))).toBe('ERR_STORE_DAMAGED');
      expect(await codeOf(bucket.list(''))).toBe('ERR_STORE_DAMAGED');
      expect(await watch).toBe('ERR_STORE_DAMAGED');
      await bucket.put('a', bytes('3'));
      expect(await bucket.get('a')).toMatchObject({ value: bytes('3') });
      await eventually('it is watched again', async () => {
        const { revision } = await bucket.list('');
        const events = take(bucket.watch('', revision, AbortSignal.timeout(100)), 1);
        return (await events.catch(() => undefined)) !== undefined;
      });
    });
  });

  describe('whose delete markers are a day old', () => {
    it('takes them out of the stream, and every server knows from where it can watch', async () => {
      const bucket = (await open()).bucket('entries');
      const from = await bucket.put('a', bytes('1'));
      const deleted = await bucket.delete('a');
      await bucket.put('b', bytes('1'));
      clock.advance(storeLimits.deleteMarkerMs + 3_600_000);
      await eventually('the marker is gone', async () => {
        return JSON.parse(await ask('STREAM.INFO')).state.messages === 1;
      });
      const other = (await open()).bucket('entries');
      const { signal } = new AbortController();
      expect(await codeOf(take(other.watch('', from, signal), 1))).toBe('ERR_STORE_COMPACTED');
      for (const each of [bucket, other]) {
        expect(await take(each.watch('', deleted ?? 0, signal), 1)).toMatchObject([{ key: 'b' }]);
        expect(await codeOf(each.put('a', bytes('2'), deleted))).toBe('ERR_STORE_CONFLICT');
      }
      expect(await other.put('a', bytes('2'), 0)).toBeGreaterThan(deleted ?? 0);
    });
  });

  describe('at its start', () => {
    it('refuses fewer than three replicas, unless it is a test', async () => {
      await expect(open({ isTest: false })).rejects.toMatchObject({ code: 'ERR_STORE_UNSAFE' });
      await expect(open({ isTest: false })).rejects.toThrow(/on 1 server.*server.store.replicas/u);
    });

    it('asks the servers of its streams, through NATS or their monitoring, whether they sync each write', async () => {
      const servers = new Set([server.name]);
      const check = async (options: Partial<SyncCheckOptions>): Promise<void> =>
        await checkSync({ connection, log: silentLog, replicas: 3, servers, ...options });
      await check({});
      const closed = await connectAs('closed');
      await check({ connection: closed, monitoringUrls: [server.monitorUrl] });
      await expect(check({ connection: closed })).rejects.toThrow(
        /nats syncs each write could not be learned \(heard of: none\); set server.store.monitoringUrls/u,
      );
      await expect(check({ servers: new Set(['nats', 'far']) })).rejects.toThrow(/server far/u);
      await check({ connection: closed, isTest: true });
    });

    it('refuses a nats-server that acknowledges before it syncs', async () => {
      const folder = mkdtempSync(path.join(tmpdir(), 'tp-nats-'));
      await using lazy = await launchNatsServer({
        config: `jetstream { store_dir: ${JSON.stringify(folder)} }`,
      });
      const check = checkSync({
        connection,
        log: silentLog,
        replicas: 3,
        servers: new Set([lazy.name]),
        monitoringUrls: [lazy.monitorUrl],
      });
      await expect(check).rejects.toThrow(/before they are on its disk; set jetstream/u);
      rmSync(folder, { recursive: true });
    });

    it('refuses NATS without JetStream', async () => {
      const none = await connectAs('none');
      await expect(open({ connection: none })).rejects.toMatchObject({
        code: 'ERR_STORE_UNAVAILABLE',
      });
    });

    it('belongs to one trust domain, and to no newer trustplane', async () => {
      await (await open()).close();
      const monitor = createStoreMonitor(silentLog, undefined);
      const meta = new JetStreamMeta({
        api: new JetStreamApi(connection),
        place: buildPlace(trustDomain.name, 'meta'),
        clock,
        budget: new WriteBudget(monitor, clock),
        createId: randomUUID,
      });
      await meta.claim(trustDomain.name);
      expect(await codeOf(meta.claim('other.test'))).toBe('ERR_STORE_TRUST_DOMAIN');
      const { stream, subjectOf } = buildPlace(trustDomain.name, 'meta');
      const request = JSON.stringify({ seq: 1, no_erase: true });
      await connection.request(`$JS.API.STREAM.MSG.DELETE.${stream}`, request);
      const record = {
        key: 'store',
        value: bytes(JSON.stringify({ version: 2, trustDomain: trustDomain.name })),
        deletedAt: undefined,
        id: 'x',
      };
      const hdrs = recordHeaders(buildPlace(trustDomain.name, 'meta'), record, undefined);
      const options = { headers: hdrs, timeout: 2_000 };
      await connection.request(subjectOf('store'), record.value, options);
      expect(await codeOf(open())).toBe('ERR_STORE_SCHEMA');
    });
  });

  it('says that it is full, and goes on when there is room', async () => {
    connection = await connectAs('small');
    const faults: (string | undefined)[] = [];
    const bucket = (await open({ onWrites: (fault) => faults.push(fault) })).bucket('entries');
    const value = new Uint8Array(500_000);
    const writes = Array.from({ length: 6 }, (_, i) => codeOf(bucket.put(`k${i}`, value)));
    expect(await Promise.all(writes)).toContain('ERR_STORE_FULL');
    expect(faults.at(-1)).toMatch(/no room/u);
    await bucket.put('k0', new Uint8Array());
    expect(faults.at(-1)).toBeUndefined();
  });
});

async function take(events: AsyncIterable<StoreEvent>, count: number): Promise<StoreEvent[]> {
  const taken: StoreEvent[] = [];
  for await (const event of events) {
    taken.push(event);
    if (taken.length === count) break;
  }
  return taken;
}

async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    () => 'fulfilled',
    (error: unknown) => (error instanceof Error && 'code' in error ? error.code : error),
  );
}

function bytes(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text));
}
