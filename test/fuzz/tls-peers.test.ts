import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TlsIdentity } from '../../src/wire/index.ts';
import { asPem, TlsPlace } from '../fakes/tls-place.ts';
import { echo } from '../fakes/unix-place.ts';

/** Where bytes of a recorded exchange are overwritten. */
const damagedByte = fc.tuple(fc.nat(2_000), fc.nat(255));
const damage = fc.array(damagedByte, { minLength: 1, maxLength: 8 });
const bytes = fc.uint8Array({ maxLength: 600 });

function damaged(
  original: Uint8Array,
  changes: readonly (readonly [number, number])[],
): Uint8Array {
  const copy = Uint8Array.from(original);
  for (const [at, value] of changes) copy[at % copy.length] = value;
  return copy;
}

/** Sends and leaves, once the other end has had its say or said nothing. */
async function sendAndLeave(socket: Socket | TLSSocket, payload: Uint8Array): Promise<void> {
  socket.on('error', () => {});
  const gone = new Promise((resolve) => socket.once('close', resolve));
  socket.end(payload);
  await gone;
}

describe('a TLS server', () => {
  let place: TlsPlace;
  let hello: Uint8Array;
  let identity: TlsIdentity;

  beforeAll(async () => {
    place = await TlsPlace.create();
    await place.serve();
    hello = await recordHello(place);
    identity = await place.issue();
  });

  afterAll(() => place.close());

  /** After a defect, which would be an uncaught exception, nothing would answer. */
  const answer = async (): Promise<string> => await echo(place.dial());

  it('survives any bytes', async () => {
    await fc.assert(
      fc.asyncProperty(
        bytes,
        async (payload) => await sendAndLeave(await place.openTcp(), payload),
      ),
      { numRuns: 150 },
    );
    expect(await answer()).toBe('anonymous 127.0.0.1');
  });

  it('survives a damaged handshake', async () => {
    await fc.assert(
      fc.asyncProperty(damage, async (changes) => {
        await sendAndLeave(await place.openTcp(), damaged(hello, changes));
      }),
      { numRuns: 300 },
    );
    expect(await answer()).toBe('anonymous 127.0.0.1');
  });

  it('survives any bytes inside TLS, after the preface too', async () => {
    const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1');
    await fc.assert(
      fc.asyncProperty(fc.boolean(), bytes, async (asClient, payload) => {
        const socket = await place.openTls(asClient ? asPem(identity) : {});
        await sendAndLeave(socket, Buffer.concat([preface, payload]));
      }),
      { numRuns: 100 },
    );
    expect(await answer()).toBe('anonymous 127.0.0.1');
  });

  it('survives damaged certificates, and closes the connection for each', async () => {
    const [leaf = new Uint8Array()] = identity.certificateChain;
    await fc.assert(
      fc.asyncProperty(damagedByte, async (change) => {
        const chain = [damaged(leaf, [change])];
        if (Buffer.compare(chain[0] ?? leaf, leaf) === 0) return;
        try {
          const socket = place.startTls(asPem({ ...identity, certificateChain: chain }));
          await new Promise((resolve) => {
            socket.on('error', () => {});
            socket.once('close', resolve);
          });
        } catch {
          // Node's client reads the certificate before it presents it.
        }
      }),
      { numRuns: 300 },
    );
    expect(await place.refused('client_certificate')).toBeGreaterThan(50);
    expect(await answer()).toBe('anonymous 127.0.0.1');
  });
});

async function recordHello(place: TlsPlace): Promise<Uint8Array> {
  const sink = createServer().listen(0, '127.0.0.1');
  await once(sink, 'listening');
  const address = sink.address();
  const accepted = once(sink, 'connection');
  const client = place.startTls({ port: typeof address === 'object' ? (address?.port ?? 0) : 0 });
  client.on('error', () => {});
  const [socket]: Socket[] = await accepted;
  if (socket === undefined) throw new Error('nobody connected');
  const [first]: Buffer[] = await once(socket, 'data');
  socket.destroy();
  sink.close();
  return first ?? new Uint8Array();
}

describe('a TLS client', () => {
  it('survives any bytes from the server, before and after the handshake', async () => {
    const place = await TlsPlace.create();
    await fc.assert(
      fc.asyncProperty(fc.boolean(), bytes, async (inTls, payload) => {
        const server = inTls
          ? createTlsServer({ ...asPem(place.identity), ALPNProtocols: ['h2'] })
          : createServer();
        server.on(inTls ? 'secureConnection' : 'connection', (socket: Socket) => {
          socket.on('error', () => {});
          socket.resume();
          socket.end(payload);
        });
        server.listen(0, '127.0.0.1');
        await once(server, 'listening');
        const address = server.address();
        place.port = typeof address === 'object' ? (address?.port ?? 0) : 0;
        const client = place.dial();
        await expect(echo(client)).rejects.toMatchObject({ code: 14 });
        client.close();
        server.close();
      }),
      { numRuns: 60 },
    );
    await place.close();
  });
});
