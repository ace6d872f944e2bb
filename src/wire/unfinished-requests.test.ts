import { once } from 'node:events';
import { type ClientHttp2Stream, connect as connectHttp2, constants } from 'node:http2';
import { connect } from 'node:net';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { echoMethods } from '../../test/fakes/echo-service.ts';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { echo, openStream, UnixPlace, until } from '../../test/fakes/unix-place.ts';

let place: UnixPlace;

beforeEach(() => {
  place = new UnixPlace();
});

afterEach(() => place.close());

/** A connection of a user, on which calls are opened with the first bytes of their request. */
async function openCalls(uid = 0): Promise<(path: string, body: Buffer) => ClientHttp2Stream> {
  if (uid !== 0) process.seteuid?.(uid);
  const socket = connect(place.path);
  if (uid !== 0) process.seteuid?.(0);
  const session = connectHttp2('http://localhost', { createConnection: () => socket });
  place.defer(() => session.destroy());
  await once(session, 'remoteSettings');
  return (path, body) => {
    const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc' };
    const call = session.request(headers);
    call.on('error', () => {});
    call.resume();
    if (body.length > 0) call.write(body);
    return call;
  };
}

/** The first bytes of a message of `length` bytes. */
function unfinished(length: number, sent: number): Buffer {
  const bytes = Buffer.alloc(5 + sent);
  bytes.writeUInt32BE(length, 1);
  return bytes;
}

const calm = constants.NGHTTP2_ENHANCE_YOUR_CALM;

describe('a request that is not complete', () => {
  it.each([
    ['no byte of a single request', echoMethods.unary.path, Buffer.alloc(0)],
    ['half of a single request', echoMethods.unary.path, unfinished(20, 10)],
    ['a request without an end', echoMethods.unary.path, unfinished(10, 10)],
    ['half of a message on a stream', echoMethods.stream.path, unfinished(20, 10)],
    ['half of a prefix on a stream', echoMethods.stream.path, Buffer.alloc(3)],
  ])('is reset in time: %s', async (_, path, body) => {
    const clock = new FakeClock();
    await place.serve({ clock });
    await echo(place.dial());
    const before = clock.timers;
    const open = await openCalls();
    const call = open(path, body);
    await until(() => clock.timers > before);
    const closed = new Promise((resolve) => call.once('close', resolve));
    clock.advance(10_000);
    await closed;
    expect(call.rstCode).toBe(calm);
    expect(await echo(place.dial())).toBe('hello');
  });

  it('is not a stream that is at rest between messages', async () => {
    const clock = new FakeClock();
    await place.serve({ clock });
    const stream = openStream(place.dial());
    stream.on('error', () => {});
    for (const text of ['a', 'b']) {
      const answer = once(stream, 'data');
      stream.write(Buffer.from(text));
      expect(String(await answer)).toBe(text);
      clock.advance(60_000);
    }
  });

  it.runIf(process.getuid?.() === 0)(
    'counts from its first bytes: one user cannot hold more than 32 MiB, others go on',
    async () => {
      await place.serve();
      const calls: ClientHttp2Stream[] = [];
      for (let connection = 0; connection < 3; connection++) {
        const open = await openCalls(1234);
        for (let count = 0; count < 200; count++) {
          calls.push(open(echoMethods.stream.path, unfinished(4_000_000, 10)));
        }
      }
      await until(
        () =>
          calls.filter(({ rstCode, closed }) => closed && rstCode === calm).length === 600 - 512,
      );
      const other = await openCalls(1235);
      const call = other(echoMethods.unary.path, unfinished(0, 0));
      const answered = once(call, 'response');
      call.end();
      await answered;
      for (const held of calls) held.close();
      const again = await openCalls(1234);
      const retry = again(echoMethods.unary.path, unfinished(0, 0));
      retry.end();
      const [headers]: Record<string, unknown>[] = await once(retry, 'response');
      expect(headers?.[':status']).toBe(200);
    },
  );
});

describe('the largest message', () => {
  it('is what the server was told', async () => {
    await place.serve({ maxReceiveBytes: 1_000 });
    const client = place.dial();
    await expect(echo(client, 'x'.repeat(1_001))).rejects.toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
    });
    expect(await echo(client, 'x'.repeat(1_000))).toHaveLength(1_000);
  });
});
