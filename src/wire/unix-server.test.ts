import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { type Client, type ClientDuplexStream, type ServiceError, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type EchoStream, echoMethods, echoService } from '../../test/fakes/echo-service.ts';
import { FakeClock, settle } from '../../test/fakes/fake-clock.ts';
import {
  call,
  countPidfds,
  echo,
  openStream,
  UnixPlace,
  until,
} from '../../test/fakes/unix-place.ts';
import { createMetrics } from '../ops/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { createHealth } from './health.ts';
import { peers } from './peers.ts';

let place: UnixPlace;

beforeEach(() => {
  place = new UnixPlace();
});

afterEach(() => place.close());

describe('hostile and broken clients', () => {
  it('drops HTTP/1 and garbage without harm to others', async () => {
    await place.serve();
    const client = place.dial();
    await echo(client);
    for (const garbage of [
      'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
      '\0'.repeat(4096),
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nxxxxxxxxxxxxxxxx',
    ]) {
      const socket = await place.openSocket();
      socket.on('error', () => {});
      socket.resume();
      socket.write(garbage);
      await once(socket, 'close');
    }
    expect(await echo(client)).toBe('hello');
  });

  it('closes a connection that says nothing, and keeps one that speaks', async () => {
    const clock = new FakeClock();
    await place.serve({ clock, handshakeTimeoutMs: 10_000 });
    const client = place.dial();
    await echo(client);
    const silent = await place.openSocket();
    const stuttering = await place.openSocket();
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
    await place.serve({ services: [echoService(), createHealth([]).service] });
    const client = place.dial();
    const malformed = Buffer.from([0x0f]);
    await expect(call(client, '/grpc.health.v1.Health/Check', malformed)).rejects.toMatchObject({
      code: status.INTERNAL,
    });
    await expect(call(client, '/test.Echo/Missing', malformed)).rejects.toMatchObject({
      code: status.UNIMPLEMENTED,
    });
    const oversized = Buffer.alloc(4 * 1024 * 1024 + 1);
    await expect(call(client, echoMethods.unary.path, oversized)).rejects.toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
    });
    expect(await echo(client)).toBe('hello');
  });

  it('serves others while a client does not read its stream', async () => {
    let stuck: EchoStream | undefined;
    const server = await place.serve({
      services: [
        echoService({
          stream(stream) {
            stuck = stream;
            while (stream.write(Buffer.alloc(64 * 1024))) {}
          },
        }),
      ],
    });
    const slow = openStream(place.dial());
    slow.on('error', () => {});
    slow.pause();
    await until(() => stuck?.writableNeedDrain === true);
    expect(await echo(place.dial())).toBe('hello');
    const ended = once(slow, 'error');
    await server.close(10);
    slow.resume();
    const [error]: unknown[] = await ended;
    expect(error).toMatchObject({ code: expect.any(Number) });
  });
});

describe('the bounds on connections', () => {
  it('closes the connection that is one too many, and takes another when one is gone', async () => {
    await place.serve({ maxConnections: 2 });
    const first = await place.openSocket();
    await place.openSocket();
    const third = await place.openSocket();
    third.resume();
    await once(third, 'close');
    expect(await place.refused('max_connections')).toBeGreaterThan(0);
    first.destroy();
    await once(first, 'close');
    expect(await echo(place.dial())).toBe('hello');
  });

  it('accepts 2,000 connects at once with one pidfd, and forgets them', async () => {
    await place.serve();
    const pidfdsBefore = countPidfds();
    const sockets = await Promise.all(Array.from({ length: 2_000 }, () => connectPatiently()));
    await until(() => peers.size === 1);
    expect(await echo(place.dial())).toBe('hello');
    expect(await place.connections()).toBe(2_001);
    expect(countPidfds() - pidfdsBefore).toBe(1);
    for (const socket of sockets) socket.destroy();
  });
});

describe('the bounds on calls', () => {
  const exhausted = {
    code: status.RESOURCE_EXHAUSTED,
    details: 'there are 2 open calls, the most allowed; end some first',
  };

  async function open(client: Client): Promise<ClientDuplexStream<Buffer, Buffer>> {
    const stream = openStream(client);
    stream.on('error', () => {});
    stream.write(Buffer.from('hello'));
    await once(stream, 'data');
    return stream;
  }

  it('refuses the call that is one too many, on whatever connection, and takes another when one has ended', async () => {
    await place.serve({ maxCalls: 2 });
    const first = await open(place.dial());
    await open(place.dial());
    await expect(echo(place.dial())).rejects.toMatchObject(exhausted);
    first.cancel();
    const client = place.dial();
    await expect.poll(() => echo(client).catch(() => 'refused')).toBe('hello');
    for (let count = 0; count < 5; count++) expect(await echo(client)).toBe('hello');
  });

  it.runIf(process.getuid?.() === 0)('keeps some for other users', async () => {
    await place.serve({ maxCalls: 3, maxCallsPerUser: 1 });
    process.seteuid?.(1234);
    const socket = connect(place.path);
    process.seteuid?.(0);
    place.defer(() => socket.destroy());
    const session = connectHttp2('http://localhost', { createConnection: () => socket });
    place.defer(() => session.destroy());
    const request = {
      ':method': 'POST',
      ':path': echoMethods.stream.path,
      'content-type': 'application/grpc',
    };
    session.request(request).write(Buffer.from([0, 0, 0, 0, 1, 65]));
    const [headers]: Record<string, unknown>[] = await once(session.request(request), 'response');
    expect(headers?.['grpc-status']).toBe(String(status.RESOURCE_EXHAUSTED));
    const trusted = place.dial();
    await open(trusted);
    await open(trusted);
  });
});

/** A full queue answers EAGAIN; clients try again. */
async function connectPatiently(): Promise<Socket> {
  for (;;) {
    try {
      return await place.openSocket();
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error;
      await settle();
    }
  }
}

describe('handlers', () => {
  it('turns what they throw or reject with into the status of that call', async () => {
    const error = new TrustplaneError('ERR_SELECTOR', 'no colon');
    await place.serve({
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
    const client = place.dial();
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
    const server = await place.serve();
    const stream = openStream(place.dial());
    const received: string[] = [];
    stream.on('data', (bytes: Buffer) => received.push(String(bytes)));
    const ended = new Promise<ServiceError>((resolve) => stream.once('error', resolve));
    stream.write(Buffer.from('a'));
    await until(() => received.length === 1);
    const closing = server.close(60_000);
    expect(server.close(0)).toBe(closing);
    expect(existsSync(place.path)).toBe(false);
    expect(await ended).toMatchObject({ code: status.UNAVAILABLE });
    await closing;
    await until(() => peers.size === 0);
    expect(countPidfds()).toBe(0);
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

it('times calls by method and outcome', async () => {
  const metrics = createMetrics();
  let failure: Error | undefined;
  await place.serve({
    metrics,
    services: [
      echoService({
        unary: (call, respond) => {
          if (failure !== undefined) throw failure;
          respond(null, call.request);
        },
      }),
    ],
  });
  const client = place.dial();
  await echo(client);
  failure = new TrustplaneError('ERR_SHUTTING_DOWN', 'no');
  await expect(echo(client)).rejects.toMatchObject({ code: status.UNAVAILABLE });
  const text = await metrics.render();
  for (const code of ['OK', 'UNAVAILABLE']) {
    expect(text).toContain(
      `trustplane_wire_call_seconds_count{method="Echo/Unary",code="${code}"} 1`,
    );
  }
});
