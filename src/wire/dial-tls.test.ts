import { once } from 'node:events';
import { createServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { type Client, type ClientDuplexStream, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { bundleOf, makeAuthority, testNow } from '../../test/fakes/test-certificates.ts';
import { AGENT_ID, asPem, makeIdentity, SERVER_ID, TlsPlace } from '../../test/fakes/tls-place.ts';
import { echo, openStream, until } from '../../test/fakes/unix-place.ts';
import { type Bundle, SpiffeId } from '../spiffe/index.ts';
import { tlsPeers } from './tls-peers.ts';
import type { TlsIdentity } from './tls-settings.ts';

let place: TlsPlace;

beforeEach(async () => {
  place = await TlsPlace.create();
});

afterEach(() => place.close());

async function ask(stream: ClientDuplexStream<Buffer, Buffer>): Promise<string> {
  stream.on('error', () => {});
  const answered = once(stream, 'data');
  stream.write(Buffer.from('?'));
  const [answer]: unknown[] = await answered;
  return String(answer);
}

describe('the server', () => {
  async function refusal(client: Client): Promise<unknown> {
    return await echo(client).then(
      () => 'accepted',
      (error: unknown) => error,
    );
  }

  it('is the one with the expected SPIFFE ID, under whatever host name', async () => {
    await place.serve();
    expect(await echo(place.dial({ host: 'localhost' }))).toBe('anonymous 127.0.0.1');
  });

  it('is refused with any other SPIFFE ID', async () => {
    place.identity = await place.issue({
      uris: ['spiffe://a.test/spire/agent/x/2'],
      dns: ['localhost'],
    });
    await place.serve();
    const dial = place.dialing();
    expect(await refusal(place.open(dial))).toMatchObject({ code: status.UNAVAILABLE });
    expect(dial.failure()).toMatchObject({ code: 'ERR_TLS_SERVER_ID' });
  });

  it.each([
    ['has expired', { notAfter: testNow - 10_000 }, 'ERR_X509_EXPIRED'],
    ['is an authority', { isCa: true, keyUsage: ['keyCertSign'] }, 'ERR_X509_LEAF_CA'],
    ['has two URI SANs', { uris: [SERVER_ID, 'https://a.test'] }, 'ERR_X509_URI_SAN'],
    ['has no SPIFFE ID', { uris: [], dns: ['localhost'] }, 'ERR_X509_URI_SAN'],
  ] as const)('is refused when its certificate %s', async (_what, options, code) => {
    place.identity = await place.issue({ uris: [SERVER_ID], ...options });
    await place.serve();
    const dial = place.dialing();
    await refusal(place.open(dial));
    expect(dial.failure()).toMatchObject({ code });
  });

  it('is refused when the bundle does not vouch for it, and accepted once it does', async () => {
    const other = await makeAuthority({ subject: 'CN=other' });
    await place.serve();
    let bundle: Bundle = bundleOf('a.test', other);
    const serverId = SpiffeId.parse(SERVER_ID);
    const dial = place.dialing({ trust: { serverId, bundle: () => bundle } });
    const client = place.open(dial);
    await refusal(client);
    expect(dial.failure()).toMatchObject({ code: 'ERR_X509_UNTRUSTED' });
    bundle = place.bundle;
    await new Promise<void>((resolve, reject) =>
      client.waitForReady(Number.POSITIVE_INFINITY, (error) => (error ? reject(error) : resolve())),
    );
    expect(await echo(client)).toBe('anonymous 127.0.0.1');
    expect(dial.failure()).toBeUndefined();
  });

  it('is judged again for each call once the bundle has changed', async () => {
    await place.serve();
    let bundle = place.bundle;
    const serverId = SpiffeId.parse(SERVER_ID);
    const client = place.dial({ trust: { serverId, bundle: () => bundle } });
    await echo(client);
    bundle = bundleOf('a.test', await makeAuthority({ subject: 'CN=other' }));
    expect(await refusal(client)).toMatchObject({ code: status.UNAVAILABLE });
  });

  it('may be any for a first contact, which is told what it presented', async () => {
    await place.serve({ trust: () => bundleOf('b.test') });
    const seen: (readonly Uint8Array[])[] = [];
    const client = place.dial({ trust: { onUnverified: (chain) => seen.push(chain) } });
    expect(await echo(client)).toBe('anonymous 127.0.0.1');
    expect(seen.map((chain) => chain.map((der) => Buffer.from(der)))).toEqual([
      place.identity.certificateChain.map((der) => Buffer.from(der)),
    ]);
  });

  it('is reached over IPv6 too', async () => {
    await place.serve({ host: '::1' });
    expect(await echo(place.dial({ host: '::1' }))).toBe('anonymous ::1');
  });

  it('is given up when it accepts and says nothing', async () => {
    const silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    place.defer(() => silent.close());
    const accepted = once(silent, 'connection');
    const address = silent.address();
    const dial = place.dialing({ port: typeof address === 'object' ? (address?.port ?? 0) : 0 });
    const refused = refusal(place.open(dial));
    await accepted;
    await until(() => place.clock.timers > 0);
    place.clock.advance(10_000);
    expect(await refused).toMatchObject({ code: status.UNAVAILABLE });
    expect(dial.failure()).toMatchObject({ code: 'ERR_TLS_HANDSHAKE' });
  });

  it('is refused when it does not speak HTTP/2', async () => {
    const other = createTlsServer({ ...asPem(place.identity) }).listen(0, '127.0.0.1');
    await once(other, 'listening');
    place.defer(() => other.close());
    const address = other.address();
    const dial = place.dialing({ port: typeof address === 'object' ? (address?.port ?? 0) : 0 });
    await refusal(place.open(dial));
    expect(dial.failure()).toMatchObject({ code: 'ERR_TLS_HANDSHAKE' });
  });
});

describe('the identity', () => {
  it('is the newest for each call, while streams on the old connection go on', async () => {
    await place.serve();
    let identity: TlsIdentity | undefined = await place.issue({ serialNumber: '01' });
    const client = place.dial({ identity: () => identity });
    const stream = openStream(client);
    expect(await ask(stream)).toBe(`${AGENT_ID} 01`);
    identity = await place.issue({ serialNumber: '02' });
    expect(await echo(client)).toBe(`${AGENT_ID} 02`);
    place.clock.advance(30_000);
    expect(await ask(stream)).toBe(`${AGENT_ID} 01`);
    expect(await ask(openStream(client))).toBe(`${AGENT_ID} 02`);
    expect(tlsPeers.size).toBe(2);
    stream.end();
    await until(() => tlsPeers.size === 1);
    expect(place.clock.timers).toBe(0);
  });

  it('may come after a first contact without one', async () => {
    await place.serve();
    let identity: TlsIdentity | undefined;
    const client = place.dial({ identity: () => identity });
    expect(await echo(client)).toBe('anonymous 127.0.0.1');
    identity = await place.issue();
    expect(await echo(client)).toContain(AGENT_ID);
    identity = undefined;
    expect(await echo(client)).toBe('anonymous 127.0.0.1');
  });

  it('is asked for when the connection has to be made again', async () => {
    const first = await place.serve();
    let identity = await place.issue({ serialNumber: '01' });
    const client = place.dial({ identity: () => identity });
    await echo(client);
    await first.close(0);
    identity = await place.issue({ serialNumber: '02' });
    await place.serve({ port: first.port });
    expect(await echo(client)).toBe(`${AGENT_ID} 02`);
  });

  it('that does not fit its key is an error of its own', async () => {
    await place.serve();
    const identity = { ...(await place.issue()), privateKey: place.identity.privateKey };
    const dial = place.dialing({ identity: () => identity });
    await expect(echo(place.open(dial))).rejects.toMatchObject({ code: status.UNAVAILABLE });
    expect(dial.failure()).toMatchObject({ code: 'ERR_TLS_IDENTITY' });
  });

  it('that the server refuses fails the calls', async () => {
    await place.serve();
    const identity = await makeIdentity({ uris: [AGENT_ID] });
    await expect(echo(place.dial({ identity: () => identity }))).rejects.toMatchObject({
      code: status.UNAVAILABLE,
    });
    expect(await place.refused('client_certificate')).toBeGreaterThan(0);
  });
});

describe('close', () => {
  it('closes the connections, those that linger too', async () => {
    await place.serve();
    let identity = await place.issue();
    const clock = new FakeClock(testNow);
    const client = place.dial({ identity: () => identity, clock });
    await echo(client);
    identity = await place.issue();
    await echo(client);
    expect(tlsPeers.size).toBe(2);
    client.close();
    await until(() => tlsPeers.size === 0);
    expect(clock.timers).toBe(0);
  });
});
