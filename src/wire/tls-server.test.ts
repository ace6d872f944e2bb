import { constants } from 'node:crypto';
import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { type Client, type ClientDuplexStream, type ServiceError, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { echoService } from '../../test/fakes/echo-service.ts';
import {
  bundleOf,
  makeAuthority,
  type TestCertificateOptions,
  testNow,
} from '../../test/fakes/test-certificates.ts';
import { AGENT_ID, asPem, makeIdentity, SERVER_ID, TlsPlace } from '../../test/fakes/tls-place.ts';
import { echo, openStream, until } from '../../test/fakes/unix-place.ts';
import { spawnTied, type TiedChild } from '../../test/programs/tied-child.ts';
import { type Log, silentLog } from '../ops/index.ts';
import { callerOf } from './caller.ts';
import { tlsPeers } from './tls-peers.ts';

let place: TlsPlace;

beforeEach(async () => {
  place = await TlsPlace.create();
});

afterEach(() => place.close());

/** How a client sees that it was refused: in TLS 1.3 it learns so after its own handshake. */
async function closed(socket: TLSSocket): Promise<void> {
  socket.on('error', () => {});
  await new Promise<void>((resolve) => {
    if (socket.closed) resolve();
    else socket.once('close', () => resolve());
  });
}

/** A stream whose end, when the place closes, is no error of the test. */
function openQuietStream(client: Client): ClientDuplexStream<Buffer, Buffer> {
  const stream = openStream(client);
  stream.on('error', () => {});
  return stream;
}

describe('who calls', () => {
  it.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'is its SVID with serial number in %s',
    async (version) => {
      await place.serve();
      const identity = await place.issue({ serialNumber: '2a00ff' });
      const client = place.dial({ identity: () => identity });
      expect(await echo(client)).toBe(`${AGENT_ID} 2a00ff`);
      const socket = await place.openTls({
        ...asPem(identity),
        maxVersion: version,
        minVersion: version,
      });
      expect([socket.getProtocol(), socket.alpnProtocol]).toEqual([version, 'h2']);
    },
  );

  it('may have intermediates above its leaf', async () => {
    await place.serve();
    const middle = await makeAuthority({ issuer: place.authority, subject: 'CN=middle' });
    const leaf = await makeIdentity({ issuer: middle, uris: [AGENT_ID] });
    const identity = { ...leaf, certificateChain: [...leaf.certificateChain, middle.der] };
    expect(await echo(place.dial({ identity: () => identity }))).toContain(AGENT_ID);
  });

  it('is anonymous without a certificate', async () => {
    await place.serve();
    expect(await echo(place.dial())).toBe('anonymous 127.0.0.1');
  });

  it('is nobody once the connection is closed', async () => {
    let call: { getPeer(): string } | undefined;
    await place.serve({ services: [echoService({ unary: (request) => (call = request) })] });
    const client = place.dial();
    const answer = echo(client).catch(() => 'failed');
    await until(() => call !== undefined);
    const peer = call?.getPeer() ?? '';
    expect(callerOf({ getPeer: () => peer }).kind).toBe('anonymous');
    for (const cleanUp of [() => client.close()]) cleanUp();
    await place.close();
    await answer;
    expect(() => callerOf({ getPeer: () => peer })).toThrow(
      expect.objectContaining({ code: 'ERR_PEER_UNKNOWN' }),
    );
  });

  it('is refused on an open connection when its SVID expires', async () => {
    await place.serve();
    const identity = await place.issue({ notAfter: testNow + 5_000 });
    const client = place.dial({ identity: () => identity });
    const stream = openQuietStream(client);
    const answered = once(stream, 'data');
    stream.write(Buffer.from('now'));
    await answered;
    place.clock.advance(6_000);
    await expect(echo(client)).rejects.toMatchObject({ code: status.UNAUTHENTICATED });
    const failed = once(stream, 'error');
    stream.write(Buffer.from('later'));
    const [error]: unknown[] = await failed;
    expect(error).toMatchObject({ code: status.UNAUTHENTICATED });
  });

  it('is refused on an open connection when its authority leaves the bundle', async () => {
    await place.serve();
    const other = await makeAuthority({ subject: 'CN=other' });
    const identity = await makeIdentity({ issuer: other, uris: [AGENT_ID] });
    place.bundle = bundleOf('a.test', place.authority, other);
    const client = place.dial({ identity: () => identity });
    expect(await echo(client)).toContain(AGENT_ID);
    place.bundle = bundleOf('a.test', place.authority);
    await expect(echo(client)).rejects.toMatchObject({ code: status.UNAUTHENTICATED });
  });
});

describe('a certificate that is presented', () => {
  const refused: Record<string, [TestCertificateOptions, string]> = {
    'of an authority (X509-7)': [
      {
        isCa: true,
        uris: ['spiffe://a.test/agent'],
        keyUsage: ['keyCertSign', 'digitalSignature'],
      },
      'ERR_X509_LEAF_CA',
    ],
    'with the ID of a trust domain (X509-3)': [{ uris: ['spiffe://a.test'] }, 'ERR_X509_LEAF_PATH'],
    'of another trust domain (X509-15)': [
      { uris: ['spiffe://b.test/agent'] },
      'ERR_X509_TRUST_DOMAIN',
    ],
    'that has expired': [{ notAfter: testNow - 60_000 }, 'ERR_X509_EXPIRED'],
    'that is not valid yet': [{ notBefore: testNow + 60_000 }, 'ERR_X509_NOT_YET_VALID'],
    'with two URI SANs (X509-1)': [{ uris: [AGENT_ID, 'https://a.test/'] }, 'ERR_X509_URI_SAN'],
    'without a SPIFFE ID': [{ uris: [] }, 'ERR_X509_URI_SAN'],
    'for servers only (X509-13)': [
      { extendedKeyUsage: ['1.3.6.1.5.5.7.3.1'] },
      'ERR_X509_EXTENDED_KEY_USAGE',
    ],
  };

  it.each(Object.entries(refused))('is refused %s', async (_title, [options, code]) => {
    const warnings: object[] = [];
    const log: Log = { ...silentLog, warn: (fields) => warnings.push(fields), child: () => log };
    await place.serve({ log });
    const socket = place.startTls(asPem(await place.issue(options)));
    await closed(socket);
    expect(await place.refused('client_certificate')).toBe(1);
    expect(warnings).toEqual([
      expect.objectContaining({ reason: 'client_certificate', code, address: '127.0.0.1' }),
    ]);
    expect(tlsPeers.size).toBe(0);
  });

  it('is refused when it is the authority of the bundle itself (X509-7)', async () => {
    await place.serve();
    const { der, keys } = place.authority;
    const key = new Uint8Array(await crypto.subtle.exportKey('pkcs8', keys.privateKey));
    await closed(place.startTls(asPem({ certificateChain: [der], privateKey: key })));
    expect(await place.refused('client_certificate')).toBe(1);
  });

  it('is refused when an authority of the same name made it', async () => {
    await place.serve();
    const impostor = await makeAuthority();
    const identity = await makeIdentity({
      issuer: impostor,
      uris: [AGENT_ID],
      withoutKeyIds: true,
    });
    await closed(place.startTls(asPem(identity)));
    expect(await place.refused('client_certificate')).toBe(1);
  });
});

describe('the protocol', () => {
  it('is not TLS 1.1', async () => {
    await place.serve();
    const old = {
      minVersion: 'TLSv1.1',
      maxVersion: 'TLSv1.1',
      ciphers: 'ALL:@SECLEVEL=0',
    } as const;
    await expect(place.openTls(old)).rejects.toMatchObject({
      code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
    });
    expect(await place.refused('tls_error')).toBe(1);
  });

  it('is not TLS 1.2 without forward secrecy', async () => {
    await place.serve();
    const options = { maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA:AES256-GCM-SHA384' } as const;
    await expect(place.openTls(options)).rejects.toMatchObject({ code: /HANDSHAKE_FAILURE/ });
  });

  it('is HTTP/2 alone', async () => {
    await place.serve();
    await expect(place.openTls({ ALPNProtocols: ['http/1.1'] })).rejects.toMatchObject({
      code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL',
    });
    await closed(place.startTls({ ALPNProtocols: [] }));
    expect(await place.refused('alpn')).toBe(1);
  });

  it.each(['TLSv1.2', 'TLSv1.3'] as const)('never resumes a session in %s', async (version) => {
    await place.serve();
    const sessions: Buffer[] = [];
    const options = { minVersion: version, maxVersion: version, ...asPem(await place.issue()) };
    const first = place.startTls(options);
    first.on('session', (session: Buffer) => sessions.push(session));
    await once(first, 'secureConnect');
    await until(() => sessions.length > 0);
    for (const session of sessions) {
      const second = await place.openTls({ ...options, session });
      expect(second.isSessionReused()).toBe(false);
    }
  });

  it('gives no ticket in TLS 1.2', async () => {
    await place.serve();
    const socket = await place.openTls({ maxVersion: 'TLSv1.2' });
    expect(socket.getTLSTicket()).toBeUndefined();
  });

  it('has no renegotiation', async () => {
    await place.serve();
    const socket = await place.openTls({
      maxVersion: 'TLSv1.2',
      secureOptions: constants.SSL_OP_LEGACY_SERVER_CONNECT,
    });
    const ended = closed(socket);
    socket.renegotiate({}, () => {});
    await ended;
    expect(await echo(place.dial())).toBe('anonymous 127.0.0.1');
  });
});

describe('the own identity', () => {
  it('is presented to new connections as soon as it changes, and old streams go on', async () => {
    await place.serve();
    const before = await place.openTls();
    const stream = openQuietStream(place.dial());
    place.identity = await place.issue({ uris: [SERVER_ID], serialNumber: '0bad' });
    const after = await place.openTls();
    expect(after.getPeerX509Certificate()?.serialNumber).toBe('0BAD');
    expect(before.getPeerX509Certificate()?.serialNumber).not.toBe('0BAD');
    const answered = once(stream, 'data');
    stream.write(Buffer.from('still there'));
    expect(String((await answered)[0])).toBe('anonymous 127.0.0.1');
  });

  it('that cannot be had costs the connection alone', async () => {
    await place.serve();
    const good = place.identity;
    place.identity = { ...good, privateKey: (await place.issue()).privateKey };
    await closed(place.startTls());
    expect(await place.refused('server_identity')).toBe(1);
    place.identity = good;
    expect(await echo(place.dial())).toBe('anonymous 127.0.0.1');
  });

  it('is checked before anything is served', async () => {
    const identity = { ...place.identity, privateKey: (await place.issue()).privateKey };
    await expect(place.serve({ identity: () => identity })).rejects.toMatchObject({
      code: 'ERR_TLS_IDENTITY',
    });
  });
});

describe('hostile and broken clients', () => {
  it('are dropped when they speak no TLS', async () => {
    await place.serve();
    const hello = '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03';
    for (const garbage of ['GET / HTTP/1.1\r\n\r\n', '\0'.repeat(4096), hello + 'x'.repeat(4096)]) {
      const socket = await place.openTcp();
      const ended = once(socket, 'close');
      socket.write(garbage, 'latin1');
      await ended;
    }
    expect(await place.refused('tls_error')).toBe(3);
    expect(await echo(place.dial())).toBe('anonymous 127.0.0.1');
  });

  it('are dropped when they send garbage inside TLS', async () => {
    await place.serve();
    for (const garbage of [
      'GET / HTTP/1.1\r\n\r\n',
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nxxxxxxxxxxxx',
    ]) {
      const socket = await place.openTls();
      socket.write(garbage);
      await closed(socket);
    }
    expect(await echo(place.dial())).toBe('anonymous 127.0.0.1');
  });

  it('are closed when they stop before, in or after the handshake', async () => {
    await place.serve({ limits: { handshakeTimeoutMs: 10_000 } });
    const client = place.dial();
    await echo(client);
    const silent = await place.openTcp();
    const stuttering = await place.openTcp();
    stuttering.write('\x16\x03\x01', 'latin1');
    const mute = await place.openTls();
    await until(() => tlsPeers.size === 2);
    place.clock.advance(10_000);
    expect(silent.destroyed).toBe(false);
    const ended = Promise.all([once(silent, 'close'), once(stuttering, 'close'), closed(mute)]);
    place.clock.advance(10_000);
    await ended;
    expect(await place.refused('handshake_timeout')).toBe(3);
    expect(await place.refused('peer_gone')).toBe(0);
    expect(await echo(client)).toBe('anonymous 127.0.0.1');
  });

  it('may leave at any time', async () => {
    await place.serve();
    for (let i = 0; i < 20; i++) {
      const socket = await place.openTcp();
      if (i % 2 === 0) socket.write('\x16\x03\x01\x02', 'latin1');
      socket.resetAndDestroy();
    }
    expect(await echo(place.dial())).toBe('anonymous 127.0.0.1');
    await until(() => tlsPeers.size === 1);
    expect(await place.connections()).toBe(1);
  });
});

describe('the bounds', () => {
  it('hold for one network', async () => {
    await place.serve({ limits: { maxConnectionsPerNetwork: 2 } });
    const [first] = [await place.openTls(), await place.openTls()];
    await closed(place.startTls());
    expect(await place.refused('max_connections_per_network')).toBe(1);
    first.destroy();
    await until(() => tlsPeers.size === 1);
    expect(await echo(place.dial())).toBe('anonymous 127.0.0.1');
  });

  it('hold for all connections', async () => {
    await place.serve({ limits: { maxConnections: 1 } });
    await place.openTls();
    await closed(place.startTls());
    expect(await place.refused('max_connections')).toBe(1);
  });

  it('keep room for clients with a certificate', async () => {
    await place.serve({ limits: { maxAnonymousConnections: 1 } });
    const anonymous = await place.openTls();
    await until(() => tlsPeers.size === 1);
    await closed(place.startTls());
    expect(await place.refused('max_anonymous_connections')).toBe(1);
    const identity = await place.issue();
    expect(await echo(place.dial({ identity: () => identity }))).toContain(AGENT_ID);
    anonymous.destroy();
    await until(() => tlsPeers.size === 1);
    expect(await echo(place.dial())).toBe('anonymous 127.0.0.1');
  });

  it('hold for the calls of one caller', async () => {
    await place.serve({ limits: { maxCallsPerCaller: 1 } });
    const identity = await place.issue();
    const stream = openQuietStream(place.dial({ identity: () => identity }));
    const answered = once(stream, 'data');
    stream.write(Buffer.from('x'));
    await answered;
    await expect(echo(place.dial({ identity: () => identity }))).rejects.toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
    });
    expect(await echo(place.dial())).toBe('anonymous 127.0.0.1');
  });

  it('are narrower for callers without a certificate', async () => {
    await place.serve({ limits: { maxAnonymousCallsPerNetwork: 1 } });
    const identity = await place.issue();
    const large = 'x'.repeat(300_000);
    const client = place.dial();
    await expect(echo(client, large)).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    expect(await echo(place.dial({ identity: () => identity }), large)).toContain(AGENT_ID);
    const stream = openQuietStream(client);
    const answered = once(stream, 'data');
    stream.write(Buffer.from('x'));
    await answered;
    await expect(echo(place.dial())).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  });

  it('let 2,000 connect at once, and forget them', async () => {
    await place.serve({ limits: { maxAnonymousConnections: 3_000 } });
    const sockets = await Promise.all(Array.from({ length: 2_000 }, () => place.openTls()));
    await until(() => tlsPeers.size === 2_000);
    expect(await echo(place.dial())).toBe('anonymous 127.0.0.1');
    for (const socket of sockets) socket.destroy();
    await until(() => tlsPeers.size === 1);
    expect(await place.connections()).toBe(1);
  });
});

describe('a network that presents a chain of many certificates', () => {
  it('is not served for a minute', async () => {
    await place.serve();
    let issuer = await makeAuthority({ subject: 'CN=0' });
    const above = [issuer.der];
    for (let i = 1; i < 9; i++) {
      issuer = await makeAuthority({ subject: `CN=${i}`, issuer });
      above.unshift(issuer.der);
    }
    const leaf = await makeIdentity({ issuer, uris: [AGENT_ID] });
    const long = { ...leaf, certificateChain: [...leaf.certificateChain, ...above] };
    await closed(place.startTls(asPem(long)));
    expect(await place.refused('client_certificate')).toBe(1);
    await closed(place.startTls());
    expect(await place.refused('shunned_network')).toBe(1);
    place.clock.advance(60_000);
    expect(await echo(place.dial())).toBe('anonymous 127.0.0.1');
  });
});

describe('without a descriptor left', () => {
  it('goes on, and serves again when there is one', async () => {
    const program = fileURLToPath(
      new URL('../../test/programs/crowded-tls-server.ts', import.meta.url),
    );
    const few = ['-c', 'ulimit -n 100; exec "$@"', 'sh', process.execPath, program];
    const child = spawnTied('/bin/sh', few);
    place.defer(() => child.stop());
    place.port = Number((await lineOf(child, /^port (\d+)/))[1]);
    const kept = await place.openTls();
    const full = lineOf(child, /^full/);
    child.kill('SIGUSR2');
    await full;
    const turnedAway = await place.openTcp();
    await new Promise((resolve) => turnedAway.once('close', resolve));
    const free = lineOf(child, /^free/);
    child.kill('SIGUSR2');
    await free;
    expect(kept.destroyed).toBe(false);
    await expect(place.openTls()).resolves.toMatchObject({ alpnProtocol: 'h2' });
  });
});

async function lineOf(child: TiedChild, pattern: RegExp): Promise<RegExpExecArray> {
  return await new Promise((resolve) => {
    const look = (line: string): void => {
      const found = pattern.exec(line);
      if (found !== null) resolve(found);
    };
    for (const line of child.lines) look(line);
    child.onLine(look);
  });
}

describe('listening and closing', () => {
  it('refuses an address that is taken', async () => {
    const { port } = await place.serve();
    await expect(place.serve({ port })).rejects.toMatchObject({
      code: 'ERR_LISTEN',
      message: `cannot listen on 127.0.0.1, port ${port}: another process listens there`,
    });
  });

  it('ends streams, closes connections and drops handshakes', async () => {
    const server = await place.serve();
    const stream = openQuietStream(place.dial());
    const answered = once(stream, 'data');
    stream.write(Buffer.from('x'));
    await answered;
    const handshaking = await place.openTcp();
    const ended = new Promise<ServiceError>((resolve) => stream.once('error', resolve));
    const dropped = once(handshaking, 'close');
    const closing = server.close(60_000);
    expect(server.close(0)).toBe(closing);
    expect(await ended).toMatchObject({ code: status.UNAVAILABLE });
    await Promise.all([dropped, closing]);
    const late = connect(server.port, '127.0.0.1');
    const [error]: unknown[] = await once(late, 'error');
    expect(error).toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('destroys what is left when the grace is over', async () => {
    let request: object | undefined;
    const server = await place.serve({
      services: [echoService({ unary: (unanswered) => (request = unanswered) })],
    });
    const answer = echo(place.dial()).catch((error: ServiceError) => error);
    await until(() => request !== undefined);
    await server.close(10);
    expect(await answer).toMatchObject({ code: expect.any(Number) });
  });
});
