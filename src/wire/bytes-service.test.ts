import { once } from 'node:events';
import {
  type ClientHttp2Session,
  connect as connectHttp2,
  constants,
  type Settings,
} from 'node:http2';
import { connect, createServer } from 'node:net';
import type { Client } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { FakeClock, settle } from '../../test/fakes/fake-clock.ts';
import { AGENT_ID, TlsPlace } from '../../test/fakes/tls-place.ts';
import { call, until } from '../../test/fakes/unix-place.ts';
import { createMetrics, silentLog } from '../ops/index.ts';
import { type BytesTransport, createBytesHost } from './bytes-service.ts';
import { serveTcp } from './tcp-server.ts';
import { tlsPeers } from './tls-peers.ts';

const PATH = '/a.B/Turn';
const headers = { ':method': 'POST', ':path': PATH, 'content-type': 'application/grpc' };
const turn = (bytes: Buffer): Buffer => Buffer.from(bytes.toReversed());
const methods = new Map([[PATH, turn]]);

async function serve(transport: BytesTransport, maxCalls = 2_000, settings: Settings = {}) {
  const clock = new FakeClock();
  const host = createBytesHost(
    { transport, methods, maxRequestBytes: 100_000 },
    {
      calls: { maxCalls, maxCallsPerOwner: maxCalls, ownerOf: (peer) => peer },
      log: silentLog,
      metrics: createMetrics(),
      clock,
    },
  );
  const listener = createServer((socket) => host.injectConnection(socket));
  const path = `\0bytes-service-${process.pid}-${Math.random()}`;
  await once(listener.listen(path), 'listening');
  const session = connectHttp2('http://localhost', {
    createConnection: () => connect(path),
    settings,
  });
  session.on('error', () => {});
  onTestFinished(() => {
    session.destroy();
    listener.close();
    host.drain(0);
    clock.advance(0);
    host.close();
  });
  return { session, clock };
}

async function ask(session: ClientHttp2Session): Promise<Buffer | undefined> {
  const stream = session.request(headers);
  stream.end(Buffer.from([0, 0, 0, 0, 2, 1, 2]));
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(stream, 'close');
  return chunks.length === 0 ? undefined : Buffer.concat(chunks);
}

const turned = Buffer.from([0, 0, 0, 0, 2, 2, 1]);

describe.each(['quick', 'grpc-js'] as const)('methods of bytes by %s', (transport) => {
  it('stay on a connection whose calls are given up by the thousand', async () => {
    const { session } = await serve(transport);
    for (let round = 0; round < 30; round++) {
      const streams = Array.from({ length: 100 }, () => session.request(headers));
      for (const stream of streams) stream.close(constants.NGHTTP2_CANCEL);
      await Promise.all(streams.map(async (stream) => await once(stream, 'close')));
    }
    expect(await ask(session)).toEqual(turned);
    expect(session.closed).toBe(false);
  });
});

describe('methods of bytes', () => {
  it('have no more calls than there is room for', async () => {
    const { session } = await serve('quick', 2);
    const open = [session.request(headers), session.request(headers)];
    const refused = session.request(headers);
    const [answer] = await once(refused, 'response');
    expect(answer).toMatchObject({ 'grpc-status': '8' });
    for (const stream of open) stream.close();
    await Promise.all(open.map(async (stream) => await once(stream, 'close')));
    await until(() => true);
    expect(await ask(session)).toEqual(turned);
  });

  it('cut off who asks and reads nothing', async () => {
    const { session, clock } = await serve('quick', 2_000, { initialWindowSize: 0 });
    await once(session, 'localSettings');
    const stream = session.request(headers);
    stream.on('error', () => {});
    stream.end(Buffer.concat([Buffer.from([0, 0, 0, 0x27, 0x10]), Buffer.alloc(10_000)]));
    await once(stream, 'response');
    const closed = once(session, 'close');
    clock.advance(10_000);
    await settle();
    expect(session.destroyed).toBe(false);
    clock.advance(10_000);
    await closed;
    expect(session.destroyed).toBe(true);
  });
});

describe('TCP in clear text', () => {
  it('serves what a network may have, and counts the rest', async () => {
    const metrics = createMetrics();
    const server = await serveTcp({
      host: '127.0.0.1',
      port: 0,
      bytes: { transport: 'quick', methods, maxRequestBytes: 1_000 },
      maxConnectionsPerNetwork: 1,
      log: silentLog,
      metrics,
    });
    onTestFinished(async () => await server.close(0));
    const session = connectHttp2(`http://127.0.0.1:${server.port}`);
    onTestFinished(() => session.destroy());
    expect(await ask(session)).toEqual(turned);
    const other = connect(server.port, '127.0.0.1');
    await once(other.resume(), 'close');
    const refused = 'trustplane_wire_connections_refused_total{socket="tcp"';
    expect(await metrics.render()).toContain(
      `${refused},reason="max_connections_per_network"} 1\n`,
    );
  });
});

describe('methods of bytes over TLS', () => {
  const other = 'spiffe://a.test/other';
  let place: TlsPlace;
  let admitted: string;
  beforeEach(async () => {
    place = await TlsPlace.create();
    admitted = AGENT_ID;
    await place.serve({
      services: [],
      bytes: { transport: 'quick', methods, maxRequestBytes: 1_000 },
      admits: ({ spiffeId }) => spiffeId.toString() === admitted,
      limits: { maxAnonymousConnections: 0 },
    });
  });
  afterEach(async () => await place.close());

  async function dial(uri: string): Promise<Client> {
    const identity = await place.issue({ uris: [uri] });
    return place.dial({ identity: () => identity });
  }

  it('answer those who are admitted, and nobody without a certificate', async () => {
    const bytes = Buffer.from([1, 2]);
    expect(await call(await dial(AGENT_ID), PATH, bytes)).toEqual(Buffer.from([2, 1]));
    await expect(call(await dial(other), PATH, bytes)).rejects.toMatchObject({ code: 14 });
    await expect(call(place.dial(), PATH, bytes)).rejects.toMatchObject({ code: 14 });
    expect(await place.refused('client_certificate')).toBeGreaterThan(0);
    expect(await place.refused('max_anonymous_connections')).toBeGreaterThan(0);
  });

  it.each([
    ['is no longer admitted', () => void (admitted = other)],
    ['is no longer trusted', () => void (place.bundle = { ...place.bundle, x509Authorities: [] })],
  ])('are cut off from who %s', async (_, change) => {
    await call(await dial(AGENT_ID), PATH, Buffer.from([1]));
    expect(await place.connections()).toBe(1);
    change();
    place.clock.advance(5_000);
    await until(() => tlsPeers.size === 0);
    expect(await place.refused('client_certificate')).toBe(1);
  });

  it('have their callers connect anew before an SVID ends', async () => {
    const client = await dial(AGENT_ID);
    await call(client, PATH, Buffer.from([1]));
    // The SVID lives for an hour.
    place.clock.advance(3_300_000);
    await until(() => tlsPeers.size === 0);
    expect(await place.refused('client_certificate')).toBe(0);
    expect(await call(client, PATH, Buffer.from([1, 2]))).toEqual(Buffer.from([2, 1]));
  });
});
