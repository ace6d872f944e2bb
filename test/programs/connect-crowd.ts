/**
 * Opens many connections to the Unix socket of the first argument at once, as many as the second
 * says, and again where the kernel's queue is full. Every tenth fetches an X509-SVID on its
 * connection and keeps the stream open; the others say nothing. Prints `asked` when the first round
 * of connects is under way, `through N refusals N` when the server has spoken on every connection
 * and answered every fetch, and `closed N` when it has closed all those that said nothing.
 */
import { connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const FETCHING_SHARE = 10;
const RETRY_MS = 50;

const [path, count] = process.argv.slice(2);
if (path === undefined || count === undefined)
  throw new Error('usage: connect-crowd.ts PATH COUNT');
const socketPath: string = path;

let refusals = 0;
const closings: Promise<void>[] = [];
const visits = Array.from({ length: Number(count) }, (_, index) =>
  index % FETCHING_SHARE === 0 ? fetchSvid() : listen(),
);
console.log('asked');
await Promise.all(visits);
console.log(`through ${visits.length} refusals ${refusals}`);
await Promise.all(closings);
console.log(`closed ${closings.length}`);
process.exit(0);

/** Connects, waiting for room in the queue for as long as it takes. */
async function enter(): Promise<Socket> {
  for (;;) {
    const outcome = await tryConnect();
    if (typeof outcome !== 'string') return outcome;
    if (outcome !== 'EAGAIN' && outcome !== 'ECONNREFUSED') throw new Error(outcome);
    refusals += 1;
    await delay(RETRY_MS * (1 + Math.random()));
  }
}

async function tryConnect(): Promise<Socket | string> {
  return await new Promise((resolve) => {
    const socket = connect(socketPath);
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      resolve(socket);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

/** Resolves when the server has sent its first frame: only then has it accepted the connection. */
async function listen(): Promise<void> {
  const socket = await enter();
  closings.push(new Promise((resolve) => socket.once('close', () => resolve())));
  await new Promise<void>((resolve, reject) => {
    socket.once('data', () => resolve());
    socket.once('end', () => reject(new Error('closed without a word')));
    socket.once('error', reject);
  });
}

/** Resolves with the first message of FetchX509SVID, which is longer than its five bytes of framing. */
async function fetchSvid(): Promise<void> {
  const socket = await enter();
  const session = connectHttp2('http://localhost', { createConnection: () => socket });
  const stream = session.request({
    ':method': 'POST',
    ':path': '/SpiffeWorkloadAPI/FetchX509SVID',
    'content-type': 'application/grpc',
    te: 'trailers',
    'workload.spiffe.io': 'true',
  });
  stream.end(Buffer.alloc(5));
  await new Promise<void>((resolve, reject) => {
    stream.once('data', (chunk: Buffer) =>
      chunk.length > 5 ? resolve() : reject(new Error('an empty message')),
    );
    stream.once('end', () => reject(new Error('the stream ended without a message')));
    stream.once('error', reject);
    session.once('error', reject);
  });
}
