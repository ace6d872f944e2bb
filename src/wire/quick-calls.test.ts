import { once } from 'node:events';
import { type ClientHttp2Stream, connect as connectHttp2, constants } from 'node:http2';
import { createServer } from 'node:net';
import {
  type CallOptions,
  Client,
  credentials,
  Metadata,
  Server,
  type ServerUnaryCall,
  type ServiceError,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import { describe, expect, it, onTestFinished } from 'vitest';
import { echoMethods, echoService } from '../../test/fakes/echo-service.ts';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { createGate } from '../../test/fakes/gate.ts';
import { until } from '../../test/fakes/unix-place.ts';
import { createMetrics, silentLog } from '../ops/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { takeQuickCalls } from './quick-calls.ts';
import { RpcHost } from './rpc-host.ts';

type Unary = (call: ServerUnaryCall<Buffer, Buffer>, respond: sendUnaryData<Buffer>) => unknown;

const { path } = echoMethods.unary;
const refusal = () => {
  throw new TrustplaneError('ERR_SVID_ENTRY', 'not “yours”: 100 %');
};

/** A host on a port, whose one unary method is quick or not. */
async function serve(unary: Unary | undefined, isQuick: boolean, clock = new FakeClock()) {
  const host = new RpcHost({
    services: [echoService(unary === undefined ? {} : { unary })],
    grpc: {},
    calls: { maxCalls: 10, maxCallsPerOwner: 5, ownerOf: (peer) => peer },
    log: silentLog,
    metrics: createMetrics(),
    clock,
    ...(isQuick && { quick: new Set([path]) }),
  });
  const listener = createServer((socket) => host.injectConnection(socket));
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  const address = listener.address();
  const port = address instanceof Object ? address.port : 0;
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  onTestFinished(() => {
    client.close();
    listener.close();
    host.drain(0);
    host.close();
  });
  return { client, port, clock };
}

interface Outcome {
  readonly code: status;
  readonly details?: string;
  readonly metadata?: Metadata;
  readonly response?: Buffer | undefined;
}

function call(
  client: Client,
  bytes: Buffer,
  options: CallOptions & { readonly metadata?: Metadata; readonly signal?: AbortSignal } = {},
): Promise<Outcome> {
  const pass = (value: Buffer): Buffer => value;
  const { metadata = new Metadata(), signal, ...more } = options;
  return new Promise((resolve) => {
    const made = client.makeUnaryRequest(
      path,
      pass,
      pass,
      bytes,
      metadata,
      more,
      (error: ServiceError | null, response?: Buffer) =>
        resolve(error === null ? { code: status.OK, response } : error),
    );
    signal?.addEventListener('abort', () => made.cancel());
  });
}

/** Sends the frames of a request as they are; the status that came, or how the stream was reset. */
async function send(port: number, body: Buffer, headers: object = {}, ends = true) {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  onTestFinished(() => session.destroy());
  const request: ClientHttp2Stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    ...headers,
  });
  request.on('error', () => {});
  let grpcStatus: unknown;
  let httpStatus: unknown;
  let encodings: unknown;
  request.on('response', (received) => {
    httpStatus = received[':status'];
    encodings = received['grpc-accept-encoding'];
    grpcStatus ??= received['grpc-status'];
  });
  request.on('trailers', (received) => (grpcStatus ??= received['grpc-status']));
  request.resume();
  if (ends) request.end(body);
  else request.write(body);
  const closed = new Promise((resolve) => request.once('close', resolve));
  return {
    closed: closed.then(() => ({
      httpStatus,
      encodings,
      grpcStatus: grpcStatus === undefined ? undefined : Number(grpcStatus),
      reset: request.rstCode,
    })),
  };
}

function frame(message: string, flag = 0, length = message.length): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(length, 1);
  return Buffer.concat([prefix, Buffer.from(message)]);
}

describe.each([
  ['quick calls', true],
  ['calls through grpc-js', false],
])('%s', (_, isQuick) => {
  it('are answered, many at once', async () => {
    const { client, port } = await serve(async ({ request }, respond) => {
      await Promise.resolve();
      respond(null, request);
    }, isQuick);
    const { closed } = await send(port, frame('a'));
    expect((await closed).encodings).toBe(isQuick ? 'identity' : 'identity,deflate,gzip');
    const texts = ['', 'a', 'x'.repeat(10_000)];
    const outcomes = await Promise.all(texts.map((text) => call(client, Buffer.from(text))));
    expect(outcomes.map(({ response }) => String(response))).toEqual(texts);
  });

  it('give long answers', async () => {
    const { client } = await serve((_, respond) => respond(null, Buffer.alloc(300_000)), isQuick);
    expect((await call(client, Buffer.alloc(1))).response).toHaveLength(300_000);
  });

  it('fail with code, text and metadata', async () => {
    const { client } = await serve(refusal, isQuick);
    const { code, details, metadata } = await call(client, Buffer.alloc(1));
    expect([code, details]).toEqual([status.PERMISSION_DENIED, 'not “yours”: 100 %']);
    expect(metadata?.get('trustplane-error-code')).toEqual(['ERR_SVID_ENTRY']);
    const defect = await serve(async () => await Promise.reject(new Error('secret')), isQuick);
    expect(await call(defect.client, Buffer.alloc(1))).toMatchObject({
      code: status.INTERNAL,
      details: 'internal error',
    });
  });

  it('say who calls, and when the caller has left', async () => {
    const gate = createGate();
    const seen: string[] = [];
    let isOver = false;
    const { client } = await serve(async (made, respond) => {
      seen.push(made.getPeer());
      made.on('cancelled', () => (isOver = made.cancelled));
      await gate.passed;
      respond(null, made.request);
    }, isQuick);
    const left = new AbortController();
    const outcome = call(client, Buffer.alloc(1), { signal: left.signal });
    await until(() => seen.length === 1);
    left.abort();
    expect((await outcome).code).toBe(status.CANCELLED);
    await until(() => isOver);
    gate.open();
    expect(seen[0]).toMatch(/^127\.0\.0\.1/u);
  });

  it('end at the deadline of the client', async () => {
    const { client } = await serve(() => {}, isQuick);
    const { code } = await call(client, Buffer.alloc(1), { deadline: Date.now() + 20 });
    expect(code).toBe(status.DEADLINE_EXCEEDED);
  });

  it('are bounded per caller, and count down when they end', async () => {
    const gate = createGate();
    const { client } = await serve(async ({ request }, respond) => {
      await gate.passed;
      respond(null, request);
    }, isQuick);
    const outcomes = Array.from({ length: 7 }, () => call(client, Buffer.alloc(1)));
    const refused = await Promise.race(outcomes);
    expect(refused.code).toBe(status.RESOURCE_EXHAUSTED);
    gate.open();
    const codes = (await Promise.all(outcomes)).map(({ code }) => code);
    expect(codes.filter((code) => code === status.OK)).toHaveLength(5);
    expect((await call(client, Buffer.alloc(1))).code).toBe(status.OK);
  });

  it.each([
    ['two messages', Buffer.concat([frame('a'), frame('b')])],
    ['a message cut short', frame('a', 0, 9)],
    ['half of a prefix', Buffer.alloc(3)],
    ['nothing', Buffer.alloc(0)],
  ])('refuse %s and go on', async (_, body) => {
    const { client, port } = await serve(undefined, isQuick);
    const { closed } = await send(port, body);
    expect((await closed).grpcStatus).not.toBe(status.OK);
    expect((await call(client, Buffer.alloc(1))).code).toBe(status.OK);
  });

  it('refuse other content types', async () => {
    const { port } = await serve(undefined, isQuick);
    const { closed } = await send(port, frame('a'), { 'content-type': 'text/plain' });
    expect((await closed).httpStatus).toBe(415);
  });

  it('take an encoded request', async () => {
    const { port } = await serve(undefined, isQuick);
    const { closed } = await send(port, frame('a'), { 'grpc-encoding': 'gzip' });
    expect((await closed).grpcStatus).toBe(status.OK);
  });

  it('reset a request that does not end in time', async () => {
    const { port, clock } = await serve(undefined, isQuick);
    const { closed } = await send(port, frame('a', 0, 9), {}, false);
    await until(() => clock.timers === 1);
    clock.advance(10_000);
    expect((await closed).reset).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    await until(() => clock.timers === 0);
  });

  it('leave no timer behind when the request ends late', async () => {
    const { client, port, clock } = await serve(undefined, isQuick);
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    onTestFinished(() => session.destroy());
    const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc' };
    const request = session.request(headers);
    request.write(frame('a', 0, 2));
    await until(() => clock.timers === 1);
    request.end(Buffer.from('b'));
    const [trailers] = await once(request.resume(), 'trailers');
    expect([Number(trailers['grpc-status']), clock.timers]).toEqual([status.OK, 0]);
    expect((await call(client, Buffer.alloc(1))).code).toBe(status.OK);
  });
});

describe('quick calls alone', () => {
  it('have small requests', async () => {
    const { client } = await serve(undefined, true);
    expect((await call(client, Buffer.alloc(16_384))).code).toBe(status.OK);
    expect((await call(client, Buffer.alloc(16_385))).code).toBe(status.RESOURCE_EXHAUSTED);
    expect((await call(client, Buffer.alloc(1_000_000))).code).toBe(status.RESOURCE_EXHAUSTED);
    expect((await call(client, Buffer.alloc(1))).code).toBe(status.OK);
  });

  it('have no compressed messages', async () => {
    const { port } = await serve(undefined, true);
    const { closed } = await send(port, frame('a', 1));
    expect((await closed).grpcStatus).toBe(status.INTERNAL);
  });

  it('are not taken from a server that is not as it is known', () => {
    const server = new Server();
    expect(takeQuickCalls(server, new Map(), { watch: () => {} })).toBe(false);
    Reflect.set(server, 'http2Servers', undefined);
    expect(takeQuickCalls(server, new Map(), { watch: () => {} })).toBe(false);
  });
});
