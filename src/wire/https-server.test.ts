import { once } from 'node:events';
import { Agent } from 'node:https';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { closed, EndpointPlace, PATIENCE, until } from '../../test/fakes/endpoint-place.ts';
import { bundleOf, makeAuthority } from '../../test/fakes/test-certificates.ts';
import { createMetrics } from '../ops/index.ts';

/** The bundle endpoint is what is served; nothing of it matters here. */
let place: EndpointPlace;

beforeEach(async () => {
  place = await EndpointPlace.create();
});

afterEach(() => place.close());

const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';

describe('room', () => {
  it('is for so many connections from one network', async () => {
    await place.serve({ limits: { maxConnections: 8, maxConnectionsPerNetwork: 2 } });
    const first = await place.openTls();
    await place.openTls();
    await closed(await place.openTcp());
    expect(await place.refused('max_connections_per_network')).toBe(1);
    first.destroy();
    await expect.poll(() => place.connections(), PATIENCE).toBe(1);
    await place.openTls();
  });

  it('is for so many connections in all', async () => {
    await place.serve({ limits: { maxConnections: 1, maxConnectionsPerNetwork: 8 } });
    await place.openTls();
    await closed(await place.openTcp());
    expect(await place.refused('max_connections')).toBe(1);
  });
});

describe('time', () => {
  it('to ask begins with the connection, however the handshake goes', async () => {
    await place.serve();
    const silent = await place.openTcp();
    const secured = await place.openTls();
    await expect.poll(() => place.connections(), PATIENCE).toBe(2);
    place.clock.advance(9_999);
    expect(silent.closed).toBe(false);
    place.clock.advance(1);
    await Promise.all([closed(silent), closed(secured)]);
    expect(await place.refused('request_timeout')).toBe(2);
  });

  it('to ask is not prolonged by bytes that come', async () => {
    await place.serve();
    const socket = await place.openTls();
    const over = closed(socket);
    for (const part of ['GET / HT', 'TP/1.1\r\nHost: x\r\n', 'X: y\r\n']) {
      socket.write(part);
      place.clock.advance(3_333);
    }
    place.clock.advance(1);
    await over;
    expect(await place.refused('request_timeout')).toBe(1);
  });

  it('to ask again begins with the end of an answer', async () => {
    await place.serve();
    const socket = await place.openTls();
    const answered = once(socket, 'data');
    socket.write(GET);
    await answered;
    await until(() => place.clock.timers === 1);
    place.clock.advance(9_999);
    const again = once(socket, 'data');
    socket.write(GET);
    await again;
    await until(() => place.clock.timers === 1);
    place.clock.advance(10_000);
    await closed(socket);
    expect(await place.refused('request_timeout')).toBe(0);
    expect(await place.connections()).toBe(0);
  });

  it('to take an answer ends, and little of it is held until then', async () => {
    const authority = await makeAuthority({ uris: [] });
    const names = Array.from({ length: 5_000 }, (_, index) => `d${index}.test`);
    place.trust.set(place.trust.current().own, ...names.map((name) => bundleOf(name, authority)));
    await place.serve();
    const socket = await place.openTls();
    socket.pause();
    socket.write('GET /envoy HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(3));
    await expect.poll(() => place.answers(200), PATIENCE).toBeGreaterThan(0);
    place.clock.advance(60_000);
    await closed(socket);
    expect(await place.refused('answer_timeout')).toBe(1);
  });
});

it('serves so many requests on a connection', async () => {
  await place.serve();
  const answers = await place.exchange(GET.repeat(101));
  expect(answers.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(100);
  expect(answers).toMatch(/connection: close/i);
});

it('destroys a connection whose second request is none while the first is answered', async () => {
  await place.serve();
  const answer = await place.exchange(`${GET}\u0000\r\n\r\n`);
  expect(answer).not.toContain('400');
  expect((await place.ask()).status).toBe(200);
});

it('survives those who leave at any point', async () => {
  await place.serve();
  for (const bytes of ['', '\u0016', '\u0016\u0003\u0001\u0000\u0005hello', 'GET / HTTP/1.1']) {
    const socket = await place.openTcp();
    if (bytes !== '') socket.write(bytes, 'latin1');
    socket.resetAndDestroy();
  }
  const secured = await place.openTls();
  secured.write(GET);
  secured.destroy();
  expect((await place.ask()).status).toBe(200);
  await expect.poll(() => place.connections(), PATIENCE).toBe(0);
  await until(() => place.clock.timers === 0);
});

describe('TLS', () => {
  it('is 1.2 at least (FED-2)', async () => {
    await place.serve();
    const ciphers = 'DEFAULT:@SECLEVEL=0';
    for (const version of ['TLSv1', 'TLSv1.1'] as const) {
      const asked = place.ask('/', { minVersion: version, maxVersion: version, ciphers });
      await expect(asked).rejects.toThrow(/protocol/i);
    }
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      expect((await place.ask('/', { minVersion: version, maxVersion: version })).status).toBe(200);
    }
  });

  it.each(['AES128-GCM-SHA256', 'ECDHE-ECDSA-AES128-SHA256', 'ECDHE-ECDSA-AES256-SHA384'])(
    'is not spoken with %s (FED-2)',
    async (ciphers) => {
      await place.serve();
      await expect(place.ask('/', { maxVersion: 'TLSv1.2', ciphers })).rejects.toThrow(
        'handshake failure',
      );
      expect(await place.refused('tls_error')).toBe(1);
    },
  );

  it.each(['TLSv1.2', 'TLSv1.3'] as const)('resumes no session of %s', async (version) => {
    await place.serve();
    const agent = new Agent({ maxCachedSessions: 10 });
    place.defer(() => agent.destroy());
    const first = await place.openTls({ maxVersion: version });
    let session: Buffer | undefined;
    first.on('session', (offered) => void (session = offered));
    const answered = once(first, 'data');
    first.write(GET);
    await answered;
    const second = await place.openTls({ maxVersion: version, ...(session && { session }) });
    expect(second.isSessionReused()).toBe(false);
  });

  it('is spoken with those who offer http/1.1 or nothing, not with those who want h2 alone', async () => {
    await place.serve();
    const offered = await place.openTls({ ALPNProtocols: ['h2', 'http/1.1'] });
    expect(offered.alpnProtocol).toBe('http/1.1');
    await expect(place.openTls({ ALPNProtocols: ['h2'] })).rejects.toThrow(
      'no application protocol',
    );
  });
});

describe('the end', () => {
  it('closes what is idle at once, and waits for answers', async () => {
    const authority = await makeAuthority({ uris: [] });
    const names = Array.from({ length: 5_000 }, (_, index) => `d${index}.test`);
    place.trust.set(place.trust.current().own, ...names.map((name) => bundleOf(name, authority)));
    const server = await place.serve();
    const idle = await place.openTls();
    const busy = await place.openTls();
    busy.pause();
    busy.write('GET /envoy HTTP/1.1\r\nHost: x\r\n\r\n');
    await expect.poll(() => place.answers(200), PATIENCE).toBe(1);
    const ended = server.close(5_000);
    await closed(idle);
    const chunks: Uint8Array[] = [];
    busy.on('data', (chunk) => chunks.push(chunk));
    await closed(busy);
    await ended;
    const [head = '', body = ''] = Buffer.concat(chunks).toString('latin1').split('\r\n\r\n');
    expect(body.length).toBeGreaterThan(1_000_000);
    expect(head).toContain(`content-length: ${body.length}`);
    await until(() => place.clock.timers === 0);
  });

  it('destroys what is left after the grace', async () => {
    const authority = await makeAuthority({ uris: [] });
    const names = Array.from({ length: 5_000 }, (_, index) => `d${index}.test`);
    place.trust.set(place.trust.current().own, ...names.map((name) => bundleOf(name, authority)));
    const server = await place.serve();
    const busy = await place.openTls();
    busy.pause();
    busy.write('GET /envoy HTTP/1.1\r\nHost: x\r\n\r\n');
    await expect.poll(() => place.answers(200), PATIENCE).toBe(1);
    const ended = server.close(5_000);
    place.clock.advance(5_000);
    await ended;
    await expect(place.openTcp()).rejects.toThrow('ECONNREFUSED');
  });
});

it('names an address that cannot be listened on', async () => {
  await place.serve();
  const again = place.serve({ port: place.port, metrics: createMetrics() });
  await expect(again).rejects.toMatchObject({ code: 'ERR_LISTEN' });
});
