import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, type ClientDuplexStream, type ServiceError, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type EchoStream, echoMethods, echoService } from '../../test/fakes/echo-service.ts';
import { FakeClock, settle } from '../../test/fakes/fake-clock.ts';
import { createMetrics, readStartTime, silentLog } from '../ops/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { createHealth } from './health.ts';
import {
  dialUnix,
  type PeerProcess,
  peerOf,
  serveUnix,
  type UnixServer,
  type UnixServerOptions,
} from './index.ts';
import { peers } from './peers.ts';

let folder: string;
let path: string;
const metrics = createMetrics();
const cleanUps: (() => unknown)[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'unix-server-'));
  chmodSync(folder, 0o755);
  path = join(folder, 'agent.sock');
});

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  await until(() => peers.size === 0);
  rmSync(folder, { recursive: true });
});

async function serve(options: Partial<UnixServerOptions> = {}): Promise<UnixServer> {
  const server = await serveUnix({
    path,
    mode: 0o666,
    services: [echoService()],
    log: silentLog,
    metrics,
    ...options,
  });
  cleanUps.push(() => server.close(0));
  return server;
}

function dial(): Client {
  const { target, credentials, options } = dialUnix(path);
  const client = new Client(target, credentials, {
    ...options,
    'grpc.use_local_subchannel_pool': 1,
  });
  cleanUps.push(() => client.close());
  return client;
}

function call(client: Client, method: string, bytes: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const identity = (value: Buffer): Buffer => value;
    client.makeUnaryRequest(method, identity, identity, Buffer.from(bytes), (error, response) =>
      error === null ? resolve(response ?? Buffer.alloc(0)) : reject(error),
    );
  });
}

function echo(client: Client, text = 'hello'): Promise<string> {
  return call(client, echoMethods.unary.path, Buffer.from(text)).then(String);
}

function openStream(client: Client): ClientDuplexStream<Buffer, Buffer> {
  const { path: method, requestSerialize, responseDeserialize } = echoMethods.stream;
  return client.makeBidiStreamRequest(method, requestSerialize, responseDeserialize);
}

async function openSocket(): Promise<Socket> {
  const socket = connect(path);
  cleanUps.push(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

async function figure(name: string, labels = ''): Promise<number> {
  const text = await metrics.render();
  const line = text
    .split('\n')
    .find((each) => each.startsWith(`${name}{socket="agent.sock"${labels}}`));
  return Number(line?.split(' ').at(-1));
}

const refused = (reason: string): Promise<number> =>
  figure('trustplane_wire_connections_refused_total', `,reason="${reason}"`);

function countPidfds(): number {
  const links = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return '';
    }
  });
  return links.filter((link) => link.includes('pidfd')).length;
}

/** Resolves when `holds` does; looks after each turn of the event loop. */
async function until(holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 20_000; turn++) {
    if (holds()) return;
    await settle();
  }
  throw new Error('it did not come about');
}

describe('peerOf', () => {
  it('is the process that the kernel names (WLEP-9, SDS-22)', async () => {
    const found: PeerProcess[] = [];
    await serve({
      services: [
        echoService({
          unary(request, respond) {
            found.push(peerOf(request));
            respond(null, request.request);
          },
        }),
      ],
    });
    await echo(dial());
    await echo(dial());
    expect(found[0]).toMatchObject({
      pid: process.pid,
      uid: process.geteuid?.(),
      gid: process.getegid?.(),
      startTime: readStartTime(process.pid),
    });
    expect(found[0]?.isAlive()).toBe(true);
    expect(found[1]).toBe(found[0]);
  });

  it('is unknown for a call that came another way', () => {
    expect(() => peerOf({ getPeer: () => '127.0.0.1:1234' })).toThrow(
      expect.objectContaining({ code: 'ERR_PEER_UNKNOWN' }),
    );
  });

  it.runIf(process.getuid?.() === 0)('has the user of the connect (WLEP-9)', async () => {
    const uids: number[] = [];
    await serve({
      services: [echoService({ stream: (stream) => uids.push(peerOf(stream).uid) })],
    });
    process.setegid?.(1234);
    process.seteuid?.(1234);
    const socket = connect(path);
    process.seteuid?.(0);
    process.setegid?.(0);
    cleanUps.push(() => socket.destroy());
    const http2 = await import('node:http2');
    const session = http2.connect('http://localhost', { createConnection: () => socket });
    cleanUps.push(() => session.destroy());
    session.request({
      ':method': 'POST',
      ':path': echoMethods.stream.path,
      'content-type': 'application/grpc',
    });
    await until(() => uids.length > 0);
    expect(uids).toEqual([1234]);
  });
});

/** Connects, leaves the connection to a child, names it, and exits: dead before anybody accepts. */
const HEIR = `
  const { connect } = require('node:net');
  const { spawn } = require('node:child_process');
  const socket = connect(process.argv[1], () => {
    const options = { stdio: ['ignore', 'ignore', 'ignore', socket], detached: true };
    process.stdout.write(String(spawn('sleep', ['60'], options).pid), () => process.exit());
  });
`;

/** Connects and waits until it is served, leaves the connection to a child, and exits; the child then calls. */
const LATE_HEIR = `
  const { connect, Socket } = require('node:net');
  const { spawn } = require('node:child_process');
  const [, path, method, child] = process.argv;
  if (child === undefined) {
    const socket = connect(path, () => {
      socket.write('PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n');
      socket.once('readable', () => {
        const stdio = ['pipe', 'ignore', 'inherit', socket];
        spawn(process.execPath, ['-e', process.env.SCRIPT, path, method, 'child'], { stdio, detached: true });
        process.exit();
      });
    });
  } else {
    process.stdin.on('end', () => {
      const socket = new Socket({ fd: 3 });
      const send = (type, flags, stream, payload) => {
        const head = Buffer.alloc(9);
        head.writeUIntBE(payload.length, 0, 3);
        head[3] = type;
        head[4] = flags;
        head.writeUInt32BE(stream, 5);
        socket.write(Buffer.concat([head, payload]));
      };
      const literal = (name, value) =>
        Buffer.concat([Buffer.from([0, name.length]), Buffer.from(name), Buffer.from([value.length]), Buffer.from(value)]);
      send(4, 0, 0, Buffer.alloc(0));
      send(1, 4, 1, Buffer.concat([
        literal(':method', 'POST'), literal(':scheme', 'http'), literal(':authority', 'x'),
        literal(':path', method), literal('content-type', 'application/grpc'),
      ]));
      socket.on('close', () => process.exit()).resume();
    }).resume();
  }
`;

describe('a peer that has exited', () => {
  it('is refused though a child of it holds the connection (WLEP-9, SDS-22)', async () => {
    const server = await serve();
    const before = await refused('peer_gone');
    const { stdout, status: exit } = spawnSync(process.execPath, ['-e', HEIR, server.path]);
    expect(exit).toBe(0);
    cleanUps.push(() => process.kill(Number(stdout)));
    // Its connection was queued before this one.
    await echo(dial());
    expect(await refused('peer_gone')).toBe(before + 1);
    expect(peers.size).toBe(1);
  });

  it('is known to be dead when a child of it calls (WLEP-9, SDS-22)', async () => {
    const found: PeerProcess[] = [];
    const server = await serve({
      services: [echoService({ stream: (stream) => found.push(peerOf(stream)) })],
    });
    const parent = spawn(
      process.execPath,
      ['-e', LATE_HEIR, server.path, echoMethods.stream.path],
      {
        stdio: ['ignore', 'ignore', 'inherit'],
        env: { ...process.env, SCRIPT: LATE_HEIR },
      },
    );
    await once(parent, 'exit');
    await until(() => found.length === 1);
    expect(found[0]?.pid).toBe(parent.pid);
    expect(found[0]?.isAlive()).toBe(false);
  });
});

describe('hostile and broken clients', () => {
  it('drops HTTP/1 and garbage without harm to others', async () => {
    await serve();
    const client = dial();
    await echo(client);
    for (const garbage of [
      'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
      '\0'.repeat(4096),
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nxxxxxxxxxxxxxxxx',
    ]) {
      const socket = await openSocket();
      socket.on('error', () => {});
      socket.resume();
      socket.write(garbage);
      await once(socket, 'close');
    }
    expect(await echo(client)).toBe('hello');
  });

  it('closes a connection that says nothing, and keeps one that speaks', async () => {
    const clock = new FakeClock();
    await serve({ clock, handshakeTimeoutMs: 10_000 });
    const client = dial();
    await echo(client);
    const silent = await openSocket();
    const stuttering = await openSocket();
    stuttering.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    silent.resume();
    stuttering.resume();
    await echo(client);
    expect(clock.timers).toBe(1);
    clock.advance(10_000);
    clock.advance(10_000);
    await Promise.all([once(silent, 'close'), once(stuttering, 'close')]);
    expect(await echo(client)).toBe('hello');
    expect(clock.timers).toBe(0);
  });

  it('answers malformed protobuf, unknown methods and oversized messages with a status', async () => {
    await serve({ services: [echoService(), createHealth([]).service] });
    const client = dial();
    const malformed = Buffer.from([0x0f]);
    await expect(call(client, '/grpc.health.v1.Health/Check', malformed)).rejects.toMatchObject({
      code: status.INTERNAL,
    });
    await expect(call(client, '/test.Echo/Missing', malformed)).rejects.toMatchObject({
      code: status.UNIMPLEMENTED,
    });
    const oversized = Buffer.alloc(4 * 1024 * 1024 + 1);
    const large = new Client(`unix:${path}`, dialUnix(path).credentials, {
      'grpc.max_send_message_length': -1,
    });
    cleanUps.push(() => large.close());
    await expect(call(large, echoMethods.unary.path, oversized)).rejects.toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
    });
    expect(await echo(client)).toBe('hello');
  });

  it('serves others while a client does not read its stream', async () => {
    let stuck: EchoStream | undefined;
    const server = await serve({
      services: [
        echoService({
          stream(stream) {
            stuck = stream;
            while (stream.write(Buffer.alloc(64 * 1024))) {}
          },
        }),
      ],
    });
    const slow = openStream(dial());
    slow.on('error', () => {});
    slow.pause();
    await until(() => stuck?.writableNeedDrain === true);
    expect(await echo(dial())).toBe('hello');
    const ended = once(slow, 'error');
    await server.close(10);
    slow.resume();
    const [error]: unknown[] = await ended;
    expect(error).toMatchObject({ code: expect.any(Number) });
  });
});

describe('the bounds on connections', () => {
  it('closes the connection that is one too many, and takes another when one is gone', async () => {
    await serve({ maxConnections: 2 });
    const first = await openSocket();
    await openSocket();
    const third = await openSocket();
    third.resume();
    await once(third, 'close');
    expect(await refused('max_connections')).toBeGreaterThan(0);
    first.destroy();
    await once(first, 'close');
    expect(await echo(dial())).toBe('hello');
  });

  it('accepts 2,000 connects at once with one pidfd, and forgets them', async () => {
    await serve();
    const before = { pidfds: countPidfds(), open: await figure('trustplane_wire_connections') };
    const sockets = await Promise.all(Array.from({ length: 2_000 }, () => connectPatiently()));
    await until(() => peers.size === 1);
    expect(await echo(dial())).toBe('hello');
    expect((await figure('trustplane_wire_connections')) - before.open).toBe(2_001);
    expect(countPidfds() - before.pidfds).toBe(1);
    for (const socket of sockets) socket.destroy();
  });
});

/** A full queue answers EAGAIN; clients try again. */
async function connectPatiently(): Promise<Socket> {
  for (;;) {
    try {
      return await openSocket();
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error;
      await settle();
    }
  }
}

describe('handlers', () => {
  it('turns what they throw or reject with into the status of that call', async () => {
    const error = new TrustplaneError('ERR_SELECTOR', 'no colon');
    await serve({
      services: [
        echoService({
          unary(request) {
            if (String(request.request) === 'throw') throw error;
            return Promise.reject(new Error('secret'));
          },
          async stream() {
            await Promise.reject(error);
          },
        }),
      ],
    });
    const client = dial();
    await expect(echo(client, 'throw')).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: 'no colon',
    });
    await expect(echo(client, 'reject')).rejects.toMatchObject({
      code: status.INTERNAL,
      details: 'internal error',
    });
    const [streamError]: unknown[] = await once(openStream(client), 'error');
    expect(streamError).toMatchObject({ code: status.INVALID_ARGUMENT });
  });
});

describe('close', () => {
  it('takes the socket away, ends streams after what they sent, and closes connections', async () => {
    const server = await serve();
    const stream = openStream(dial());
    const received: string[] = [];
    stream.on('data', (bytes: Buffer) => received.push(String(bytes)));
    const ended = new Promise<ServiceError>((resolve) => stream.once('error', resolve));
    stream.write(Buffer.from('a'));
    await until(() => received.length === 1);
    const closing = server.close(60_000);
    expect(server.close(0)).toBe(closing);
    expect(existsSync(path)).toBe(false);
    expect(await ended).toMatchObject({ code: status.UNAVAILABLE });
    await closing;
    await until(() => peers.size === 0);
    expect(countPidfds()).toBe(0);
  });

  it('destroys what is left when the grace is over', async () => {
    let request: object | undefined;
    const server = await serve({
      services: [echoService({ unary: (unanswered) => (request = unanswered) })],
    });
    const answer = echo(dial()).catch((error: ServiceError) => error);
    await until(() => request !== undefined);
    await server.close(10);
    expect(await answer).toMatchObject({ code: expect.any(Number) });
  });
});
