import { afterEach, describe, expect, it } from 'vitest';
import { fakeEntry } from '../../test/fakes/fake-entitlements.ts';
import { FakeWorkloadSource } from '../../test/fakes/fake-workload-source.ts';
import { createSvidPlane, fakeProcess } from '../../test/fakes/svid-plane.ts';
import { textIdentity, textUpdate } from '../../test/fakes/test-updates.ts';
import { serveWorkloadApi, type WorkloadEndpoint } from '../../test/fakes/workload-endpoint.ts';
import { TrustplaneError, type WorkloadSource } from '../spiffe/index.ts';
import type { PeerProcess } from '../wire/index.ts';
import { createWorkloadApiClient, type X509WatchEvent } from './workload-api-client.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** The client and the live identity model with this test as the only workload, a socket between them. */
async function setUp(source?: WorkloadSource<PeerProcess>) {
  const plane = createSvidPlane();
  const self = fakeProcess();
  const live: WorkloadSource<PeerProcess> = {
    attach: (_, listener) => plane.source.attach(self, listener),
  };
  const endpoint = await serveWorkloadApi(source ?? live);
  closers.push(() => endpoint.close());
  return { plane, endpoint, client: connect(endpoint, plane) };
}

function connect(endpoint: WorkloadEndpoint, { clock }: ReturnType<typeof createSvidPlane>) {
  const address = { kind: 'unix', path: endpoint.path } as const;
  const client = createWorkloadApiClient({ address, clock, random: () => 0.5 });
  closers.push(() => client.close());
  return client;
}

function watcher(client: ReturnType<typeof connect>) {
  const abort = new AbortController();
  closers.push(() => abort.abort());
  const events = client.watchX509(abort.signal)[Symbol.asyncIterator]();
  return {
    abort,
    async next(): Promise<X509WatchEvent> {
      const { value, done } = await events.next();
      if (done === true) throw new Error('the watch ended');
      return value;
    },
    end: () => events.next(),
  };
}

describe('fetchX509', () => {
  it('gives validated SVIDs and bundles', async () => {
    const { plane, client } = await setUp();
    plane.entries.put(fakeEntry('web'));
    const context = await client.fetchX509(5_000);
    expect(context.svids.map(({ svid }) => svid.spiffeId.path)).toEqual(['/web']);
    expect(context.bundles.has('a.test')).toBe(true);
    await expect.poll(() => plane.metric('trustplane_svid_sessions')).toBe(0);
  });

  it('fails with the code of the server', async () => {
    const { client } = await setUp();
    await expect(client.fetchX509(5_000)).rejects.toMatchObject({
      code: 'ERR_WORKLOAD_NO_IDENTITY',
    });
  });

  it('fails when nothing answers, or not in time', async () => {
    const { plane, endpoint, client } = await setUp({ attach: () => ({ close: () => {} }) });
    const fetching = client.fetchX509(1_000);
    plane.clock.advance(1_000);
    await expect(fetching).rejects.toMatchObject({
      code: 'ERR_UNREACHABLE',
      message: 'no answer within 1000 ms',
    });
    await endpoint.close();
    await expect(client.fetchX509(1_000)).rejects.toMatchObject({ code: 'ERR_UNREACHABLE' });
  });

  it('refuses what is not valid (WLAPI-5)', async () => {
    const source = new FakeWorkloadSource<PeerProcess>(textUpdate([textIdentity('/web')]));
    const { client } = await setUp(source);
    await expect(client.fetchX509(5_000)).rejects.toMatchObject({ code: 'ERR_CLIENT_RESPONSE' });
  });
});

describe('watchX509', () => {
  it('gives each change, each replacing what came before (WLAPI-4)', async () => {
    const { plane, client } = await setUp();
    plane.entries.put(fakeEntry('web'), fakeEntry('db'));
    const { next } = watcher(client);
    expect(await next()).toMatchObject({ type: 'update' });
    plane.entries.delete('web');
    const event = await next();
    if (event.type !== 'update') throw new Error(event.type);
    expect(event.context.svids.map(({ svid }) => svid.spiffeId.path)).toEqual(['/db']);
  });

  it('tells that the identity is gone, and goes on until there is one again (WLEP-7, WLAPI-10)', async () => {
    const { plane, client } = await setUp();
    const { next } = watcher(client);
    expect(await next()).toMatchObject({ type: 'denied', retryInMs: 100 });
    const second = next();
    plane.clock.advance(100);
    expect(await second).toMatchObject({ type: 'denied', retryInMs: 200 });
    plane.entries.put(fakeEntry('web'));
    const third = next();
    plane.clock.advance(200);
    expect(await third).toMatchObject({ type: 'update' });
    plane.entries.delete('web');
    expect(await next()).toMatchObject({ type: 'denied', retryInMs: 100 });
  });

  it('reconnects at once when the server restarts, then with backoff (WLAPI-6)', async () => {
    const { plane, endpoint, client } = await setUp();
    plane.entries.put(fakeEntry('web'));
    const { next } = watcher(client);
    expect(await next()).toMatchObject({ type: 'update' });
    await endpoint.close();
    expect(await next()).toMatchObject({ type: 'interrupted', retryInMs: 0 });
    const again = next();
    plane.clock.advance(0);
    expect(await again).toMatchObject({ type: 'interrupted', retryInMs: 100 });
  });

  it('discards a message that is not valid and goes on (WLAPI-5)', async () => {
    const source = new FakeWorkloadSource<PeerProcess>(textUpdate([textIdentity('/web')]));
    const { plane, client } = await setUp(source);
    plane.entries.put(fakeEntry('web'));
    const { next } = watcher(client);
    expect(await next()).toMatchObject({ type: 'rejected', error: expect.any(TrustplaneError) });
    const { last } = await plane.attach(fakeProcess());
    if (last === undefined) throw new Error('no update');
    source.publish(last);
    expect(await next()).toMatchObject({ type: 'update' });
  });

  it('keeps the process alive while it waits, and no longer', async () => {
    const timeouts = () =>
      process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const { client } = await setUp();
    const { next, end, abort } = watcher(client);
    await next();
    const before = timeouts();
    const ended = end();
    expect(timeouts()).toBe(before + 1);
    abort.abort();
    await ended;
    expect(timeouts()).toBe(before);
  });

  it('ends when aborted, while streaming and while it waits', async () => {
    const { plane, client } = await setUp();
    const waiting = watcher(client);
    await waiting.next();
    const waitingEnd = waiting.end();
    waiting.abort.abort();
    expect(await waitingEnd).toMatchObject({ done: true });
    plane.entries.put(fakeEntry('web'));
    const streaming = watcher(client);
    await streaming.next();
    const streamingEnd = streaming.end();
    streaming.abort.abort();
    expect(await streamingEnd).toMatchObject({ done: true });
    await expect.poll(() => plane.metric('trustplane_svid_sessions')).toBe(0);
    expect(watcher(client).abort.signal.aborted).toBe(false);
  });
});
