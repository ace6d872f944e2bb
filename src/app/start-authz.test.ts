import { existsSync, writeFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { type Client, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { AuthzGround, callBytes, isAllowed } from '../../test/fakes/authz-ground.ts';
import { eventually } from '../../test/programs/eventually.ts';
import { freePorts } from '../../test/programs/free-ports.ts';
import { HEALTH_CHECK } from '../wire/index.ts';

let ground: AuthzGround;
beforeEach(async () => {
  ground = await AuthzGround.open();
});
afterEach(async () => await ground.close());

function using(client: Client): Client {
  onTestFinished(() => client.close());
  return client;
}

describe('the thread that answers checks', () => {
  it('decides by what it is told, and says by which policies', async () => {
    const server = await ground.start();
    expect(server.inForce()).toBe('first');
    const { checks } = ground.process.readiness.check();
    expect(checks).toContainEqual(
      expect.objectContaining({
        name: 'policies',
        fault: undefined,
        detail: expect.stringMatching(/^1 rule of .+, digest first$/),
      }),
    );
    expect(checks).toContainEqual(
      expect.objectContaining({ name: 'authz', detail: `unix://${ground.socket}` }),
    );
    const client = using(ground.dialUnix());
    expect(await isAllowed(client, await ground.request('/v1/x'))).toBe(true);
    expect(await isAllowed(client, await ground.request('/v2/x'))).toBe(false);
    ground.allow('second', '/v2/**');
    await eventually('the second set', async () => server.inForce() === 'second' || undefined);
    expect(await isAllowed(client, await ground.request('/v1/x'))).toBe(false);
    expect(await isAllowed(client, await ground.request('/v2/x'))).toBe(true);
  });

  it('answers while the main thread does nothing else', async () => {
    await ground.start();
    const count = new Int32Array(new SharedArrayBuffer(4));
    const workerData = { socket: ground.socket, request: await ground.request(), count };
    const file = new URL('../../test/programs/check-loop.ts', import.meta.url);
    const worker = new Worker(file, { workerData, execArgv: [] });
    onTestFinished(async () => void (await worker.terminate()));
    // The main thread stands still, as in a long calculation, until it was answered a thousand times.
    for (let seen = 0; seen < 1_000; seen = Atomics.load(count, 0)) {
      expect(Atomics.wait(count, 0, seen, 20_000)).not.toBe('timed-out');
    }
  });

  it('has its figures and lines among those of the process', async () => {
    await ground.start();
    const client = using(ground.dialUnix());
    for (const target of ['/v1/x', '/v1/y', '/v2/x'])
      await isAllowed(client, await ground.request(target));
    const text = await ground.process.metrics.render();
    expect(text).toContain('trustplane_authz_decisions_total{reason="allowed_by_rule"} 2\n');
    expect(text).toContain('trustplane_authz_decisions_total{reason="no_rule_matched"} 1\n');
    expect(text).toContain('trustplane_wire_connections{socket="authz"} 1\n');
    expect(text.match(/^# TYPE trustplane_wire_connections gauge$/gmu)).toHaveLength(1);
  });

  it('is ready when it is warm, and its socket goes with the process', async () => {
    await ground.start();
    const check = () =>
      ground.process.readiness.check().checks.find(({ name }) => name === 'authz');
    expect(check()).toMatchObject({ isReady: false, fault: 'it is being warmed up' });
    await ground.warm();
    expect(check()).toMatchObject({ isReady: true });
    await ground.process.closing.disposeAsync();
    expect(existsSync(ground.socket)).toBe(false);
  });

  it('fails the start of the process when it cannot listen', async () => {
    writeFileSync(ground.socket, 'a file');
    await expect(ground.start()).rejects.toMatchObject({ code: 'ERR_SOCKET_PATH' });
  });
});

describe('a thread that dies', () => {
  const garbage = Buffer.from('nothing that anybody could read');

  /** Feeds the first thread well, until it is spoiled, and then badly so often; twice ends a thread. */
  function spoiledFeed(times: number) {
    let left = 0;
    let spoil = (): void => {};
    return {
      spoil: () => {
        left = times;
        spoil();
      },
      open: (sink: (message: Uint8Array, taken: () => void) => void) => {
        spoil = () => sink(garbage, () => {});
        if (left-- <= 0) return ground.feed.open(sink);
        spoil();
        return { close: () => {} };
      },
    };
  }

  it('is replaced at once, and told all anew', async () => {
    const feed = spoiledFeed(1);
    const server = await ground.start({}, feed);
    feed.spoil();
    await eventually('its end', async () => server.inForce() === undefined || undefined);
    const client = using(ground.dialUnix());
    const request = await ground.request();
    await eventually(
      'the next thread',
      async () => (await isAllowed(client, request).catch(() => false)) || undefined,
    );
    expect(await ground.process.metrics.render()).toContain(
      'trustplane_authz_thread_restarts_total 1\n',
    );
  });

  it('ends the process when it dies again and again', async () => {
    const feed = spoiledFeed(1_000);
    await ground.start({}, feed);
    feed.spoil();
    expect(await ground.process.failed).toMatchObject({ code: 'ERR_AUTHZ_THREAD' });
  });
});

describe.each(['quick', 'grpc-js'] as const)('checks by %s', (transport) => {
  it('are answered on a socket and on TCP, with health beside them', async () => {
    const [port = 0] = await freePorts(1);
    await ground.start({ transport, listen: { address: { host: '127.0.0.1', port } } });
    const request = await ground.request();
    const allowed = async (client: Client) => await isAllowed(client, request);
    const clients = [using(ground.dialUnix()), using(ground.dialTcp(port))];
    expect(await Promise.all(clients.map(allowed))).toEqual([true, true]);
    await ground.warm();
    for (const client of clients) {
      const named = Buffer.from('\n\x24envoy.service.auth.v3.Authorization', 'latin1');
      named[1] = named.length - 2;
      expect(await callBytes(client, HEALTH_CHECK, Buffer.alloc(0))).toEqual(Buffer.from([8, 1]));
      expect(await callBytes(client, HEALTH_CHECK, named)).toEqual(Buffer.from([8, 1]));
      const other = callBytes(client, HEALTH_CHECK, Buffer.from('\n\x05other'));
      await expect(other).rejects.toMatchObject({ code: status.NOT_FOUND });
    }
  });

  it('refuses what is too large, and what is no message at all', async () => {
    await ground.start({ transport });
    const client = using(ground.dialUnix());
    await expect(isAllowed(client, Buffer.alloc(1_048_577))).rejects.toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
    });
    expect(await isAllowed(client, Buffer.alloc(1_048_576, 0xff))).toBe(false);
    expect(await isAllowed(client, await ground.request())).toBe(true);
  });
});
