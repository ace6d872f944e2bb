import { once } from 'node:events';
import { connect as connectHttp2, constants } from 'node:http2';
import { createServer } from 'node:net';
import { Client, credentials, type ServiceError, status } from '@grpc/grpc-js';
import { describe, expect, it, onTestFinished } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { QuickHost } from './quick-host.ts';

const PATH = '/a.B/Turn';

async function serve() {
  const clock = new FakeClock();
  const turn = (bytes: Buffer) => Buffer.from(bytes.toReversed());
  const host = new QuickHost({
    methods: new Map([[PATH, turn]]),
    maxRequestBytes: 2_000,
    calls: { maxCalls: 2_000, maxCallsPerOwner: 1_500, ownerOf: (peer) => peer },
    clock,
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
    clock.advance(0);
    host.close();
  });
  return { client, port, host, clock };
}

function call(client: Client, bytes: Buffer, path = PATH): Promise<Buffer | ServiceError | null> {
  const same = (value: Buffer) => value;
  return new Promise((resolve) => {
    client.makeUnaryRequest(path, same, same, bytes, (error, answer) =>
      resolve(error ?? answer ?? null),
    );
  });
}

describe('methods of bytes', () => {
  it('answer a client of grpc-js, many at once', async () => {
    const { client } = await serve();
    const texts = Array.from({ length: 300 }, (_, at) => `text ${at}`);
    const answers = await Promise.all(
      texts.map(async (text) => await call(client, Buffer.from(text))),
    );
    expect(answers.map(String)).toEqual(texts.map((text) => text.split('').reverse().join('')));
  });

  it('have others not implemented, and a bound', async () => {
    const { client } = await serve();
    expect(await call(client, Buffer.from('x'), '/a.B/Other')).toMatchObject({
      code: status.UNIMPLEMENTED,
    });
    expect(await call(client, Buffer.alloc(2_001))).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
    });
    expect(await call(client, Buffer.alloc(2_000))).toHaveLength(2_000);
  });

  it('take a request in pieces, and not in thousands of them', async () => {
    const { port } = await serve();
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    onTestFinished(() => session.destroy());
    const send = async (octets: Iterable<number>) => {
      const stream = session.request({
        ':method': 'POST',
        ':path': PATH,
        'content-type': 'application/grpc',
      });
      stream.on('error', () => {});
      const closed = new Promise((resolve) => stream.on('close', resolve));
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      for (const octet of octets) {
        if (stream.destroyed) break;
        await new Promise((resolve) => stream.write(Buffer.from([octet]), resolve));
      }
      stream.end();
      await closed;
      return { reset: stream.rstCode, answer: Buffer.concat(chunks) };
    };
    const few = [0, 0, 0, 0, 3, 1, 2, 3];
    expect((await send(few)).answer).toEqual(Buffer.from([0, 0, 0, 0, 3, 3, 2, 1]));
    const { reset } = await send(new Uint8Array(1_500));
    expect(reset).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  });

  it('hold nothing of a call that is refused, though its request goes on', async () => {
    const { port } = await serve();
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    onTestFinished(() => session.destroy());
    const refused = async () => {
      const stream = session.request({
        ':method': 'POST',
        ':path': '/a.B/Other',
        'content-type': 'application/grpc',
      });
      const closed = once(stream.resume(), 'close');
      const [headers] = await once(stream, 'response');
      await closed;
      return Number(headers['grpc-status']);
    };
    const statuses = await Promise.all(Array.from({ length: 1_200 }, refused));
    expect(new Set(statuses)).toEqual(new Set([status.UNIMPLEMENTED]));
  });

  it('stay on a connection whose calls are given up by the thousand', async () => {
    const { port } = await serve();
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    onTestFinished(() => session.destroy());
    const request = () =>
      session.request({ ':method': 'POST', ':path': PATH, 'content-type': 'application/grpc' });
    for (let round = 0; round < 30; round++) {
      const streams = Array.from({ length: 100 }, request);
      for (const stream of streams) stream.close(constants.NGHTTP2_CANCEL);
      await Promise.all(streams.map(async (stream) => await once(stream, 'close')));
    }
    const last = request();
    last.end(Buffer.from([0, 0, 0, 0, 2, 1, 2]));
    const [chunk] = await once(last, 'data');
    expect(chunk).toEqual(Buffer.from([0, 0, 0, 0, 2, 2, 1]));
    expect(session.closed).toBe(false);
  });

  it('end with their connections when they are drained', async () => {
    const { port, host, clock } = await serve();
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    await once(session, 'remoteSettings');
    const pending = session.request({
      ':method': 'POST',
      ':path': PATH,
      'content-type': 'application/grpc',
    });
    pending.on('error', () => {});
    const goaway = once(session, 'goaway');
    await once(session, 'localSettings');
    host.drain(5_000);
    await goaway;
    const closed = once(session, 'close');
    clock.advance(5_000);
    await closed;
    expect(session.destroyed).toBe(true);
  });
});
