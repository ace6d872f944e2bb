import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { CHECK } from '../../src/app/check-methods.ts';
import type { SeededRandom } from '../programs/seeded-random.ts';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
const MAX_FRAMES = 30;
const TIMEOUT_MS = 30_000;

/** How a message goes over the wire; in all but the first two it is no request. */
type Framing = 'whole' | 'split' | 'twice' | 'compressed' | 'too-short' | 'too-long' | 'unfinished';
const framings: readonly Framing[] = [
  ...(['whole', 'whole', 'whole', 'split', 'twice'] as const),
  ...(['compressed', 'too-short', 'too-long', 'unfinished'] as const),
];

export interface HostileAnswer {
  readonly sent: Buffer;
  readonly framing: Framing;
  readonly isAllowed: boolean;
}

/** Sends messages as calls of gRPC, in frames that are right and wrong, on one connection. */
export async function sendCalls(
  socketPath: string,
  messages: readonly Buffer[],
  random: SeededRandom,
): Promise<readonly HostileAnswer[]> {
  const socket = connect(socketPath);
  await once(socket, 'connect');
  const session = connectHttp2('http://localhost', { createConnection: () => socket });
  session.on('error', () => {});
  const answers = await Promise.all(
    messages.map(async (sent) => {
      const framing = framings[random(framings.length)] ?? 'whole';
      const stream = session.request({
        ':method': 'POST',
        ':path': CHECK,
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      const chunks: Buffer[] = [];
      stream.on('error', () => {}).on('data', (chunk: Buffer) => chunks.push(chunk));
      const closed = closeOf(stream, framing);
      const parts = partsOf(sent, framing);
      for (const part of parts) stream.write(part);
      if (framing === 'unfinished') stream.close(1 + random(13));
      else stream.end();
      await closed;
      return { sent, framing, isAllowed: isOk(Buffer.concat(chunks).subarray(5)) };
    }),
  );
  session.destroy();
  return answers;
}

/** An error is as good an end as any; one that does not come is none. */
async function closeOf(stream: Duplex, what: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`nobody ends ${what}`)), TIMEOUT_MS);
    stream.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** An answer whose status has the code 0, or none. */
function isOk(answer: Buffer): boolean {
  return answer[0] === 0x0a && (answer[1] === 0 || (answer[2] === 8 && answer[3] === 0));
}

function partsOf(message: Buffer, framing: Framing): readonly Buffer[] {
  const head = (length: number, flag = 0): Buffer => {
    const bytes = Buffer.alloc(5, flag);
    bytes.writeUInt32BE(length, 1);
    return bytes;
  };
  const { length } = message;
  const whole = Buffer.concat([head(length), message]);
  const framed: Readonly<Record<Framing, readonly Buffer[]>> = {
    whole: [whole],
    split: [whole.subarray(0, 2), whole.subarray(2, 5), whole.subarray(5, 12), whole.subarray(12)],
    twice: [whole, whole],
    compressed: [head(length, 1), message],
    'too-short': [head(Math.max(0, length - 3)), message],
    'too-long': [head(length + 1_000_000_000), message],
    unfinished: [head(length + 3), message],
  };
  return framed[framing];
}

/** Frames of HTTP/2 that are hardly any, or a good conversation with changes; resolves when the connection is closed. */
export async function sendFrames(
  socketPath: string,
  conversation: Buffer,
  random: SeededRandom,
): Promise<void> {
  const socket = connect(socketPath);
  const isDamaged = random(2) === 0;
  const bytes = isDamaged ? damaged(conversation, random) : frames(random);
  const closed = closeOf(socket, bytes.toString('hex'));
  socket.on('error', () => {}).resume();
  socket.end(bytes);
  await closed;
}

function damaged(conversation: Buffer, random: SeededRandom): Buffer {
  const bytes = Buffer.from(conversation);
  for (let times = 1 + random(8); times > 0; times--) {
    // Mostly behind the preface, so that it comes to frames.
    const at =
      random(8) === 0
        ? random(bytes.length)
        : PREFACE.length + random(bytes.length - PREFACE.length);
    bytes[at] = random(256);
  }
  return bytes.subarray(0, 1 + random(bytes.length));
}

function frames(random: SeededRandom): Buffer {
  const octets = (count: number): Buffer =>
    Buffer.from(Array.from({ length: count }, () => random(256)));
  const all = Array.from({ length: 1 + random(MAX_FRAMES) }, () => {
    const payload = octets(random(5) === 0 ? random(5_000) : random(20));
    const head = Buffer.alloc(9);
    head.writeUIntBE(random(10) === 0 ? random(1 << 24) : payload.length, 0, 3);
    head[3] = random(12);
    head[4] = random(256);
    head.writeUInt32BE(random(4) === 0 ? random(2 ** 31) : random(8), 5);
    return Buffer.concat([head, payload]);
  });
  const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
  return Buffer.concat([...(random(10) === 0 ? [] : [PREFACE, settings]), ...all]);
}
