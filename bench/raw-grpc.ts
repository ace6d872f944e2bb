import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
const types = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  window: 8,
} as const;
const END_STREAM = 1;
const END_HEADERS = 4;
const ACK = 1;
const HEAD_BYTES = 9;
const OPEN_WINDOW = 1 << 30;
/** A connection has no more streams; a thousand less, so that none is begun in vain. */
const MAX_CALLS = 2 ** 30 - 1_000;

/**
 * The least a client of one unary method can be: frames written and counted by hand on one socket, so that
 * what is measured is the server. An answer is complete with the end of its stream; only the length
 * of its message is looked at.
 */
export class RawGrpc {
  readonly #socket: Socket;
  readonly #head: Buffer;
  readonly #onAnswer: (stream: number, bytes: number) => void;
  #rest: Buffer = Buffer.alloc(0);
  #stream = 1;
  #window = 65_535;
  readonly #waiting: Buffer[] = [];
  readonly #lengths = new Map<number, number>();
  #unacknowledged = 0;

  private constructor(
    socket: Socket,
    path: string,
    onAnswer: (stream: number, bytes: number) => void,
  ) {
    this.#socket = socket;
    this.#head = headerBlock(path);
    this.#onAnswer = onAnswer;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    const settings = Buffer.alloc(12);
    settings.writeUInt16BE(1, 0); // HEADER_TABLE_SIZE 0
    settings.writeUInt16BE(4, 6); // INITIAL_WINDOW_SIZE
    settings.writeUInt32BE(OPEN_WINDOW, 8);
    const window = Buffer.alloc(4);
    window.writeUInt32BE(OPEN_WINDOW, 0);
    socket.write(
      Buffer.concat([
        PREFACE,
        frame(types.settings, 0, 0, settings),
        frame(types.window, 0, 0, window),
      ]),
    );
  }

  /** @param onAnswer told of the stream of each complete answer, and how long its message is */
  static async connect(
    socketPath: string,
    path: string,
    onAnswer: (stream: number, bytes: number) => void,
  ): Promise<RawGrpc> {
    const socket = connect(socketPath);
    await once(socket, 'connect');
    return new RawGrpc(socket, path, onAnswer);
  }

  /** Returns the number of the stream. */
  ask(message: Buffer): number {
    const stream = this.#stream;
    if (stream > MAX_CALLS) throw new Error('the connection has no streams left');
    this.#stream += 2;
    const data = Buffer.alloc(5 + message.length);
    data.writeUInt32BE(message.length, 1);
    message.copy(data, 5);
    this.#waiting.push(
      Buffer.concat([
        frame(types.headers, END_HEADERS, stream, this.#head),
        frame(types.data, END_STREAM, stream, data),
      ]),
    );
    this.#flush();
    return stream;
  }

  close(): void {
    this.#socket.destroy();
  }

  #flush(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const size = next.length - this.#head.length - 2 * HEAD_BYTES;
      if (size > this.#window) return;
      this.#window -= size;
      this.#waiting.shift();
      this.#socket.write(next);
    }
  }

  #take(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (at + HEAD_BYTES <= bytes.length) {
      const length = bytes.readUIntBE(at, 3);
      if (at + HEAD_BYTES + length > bytes.length) break;
      this.#frame(bytes, at, length);
      at += HEAD_BYTES + length;
    }
    this.#rest = bytes.subarray(at);
    if (this.#unacknowledged > OPEN_WINDOW / 2) this.#acknowledge();
  }

  #frame(bytes: Buffer, at: number, length: number): void {
    const [type = 0, flags = 0] = bytes.subarray(at + 3, at + 5);
    const stream = bytes.readUInt32BE(at + 5) & 0x7fff_ffff;
    const payload = at + HEAD_BYTES;
    if (type === types.data) {
      this.#unacknowledged += length;
      this.#lengths.set(stream, (this.#lengths.get(stream) ?? 0) + length);
    } else if (type === types.window && stream === 0) {
      this.#window += bytes.readUInt32BE(payload);
      this.#flush();
    } else if (type === types.settings && (flags & ACK) === 0) {
      this.#socket.write(frame(types.settings, ACK, 0, Buffer.alloc(0)));
    } else if (type === types.ping && (flags & ACK) === 0) {
      this.#socket.write(frame(types.ping, ACK, 0, bytes.subarray(payload, payload + length)));
    } else if (type === types.reset || type === types.goAway) {
      throw new Error(`the server ended ${type === types.reset ? 'a stream' : 'the connection'}`);
    }
    const hasEnd = (type === types.data || type === types.headers) && (flags & END_STREAM) !== 0;
    if (!hasEnd) return;
    const answered = this.#lengths.get(stream) ?? 0;
    this.#lengths.delete(stream);
    this.#onAnswer(stream, answered);
  }

  #acknowledge(): void {
    const window = Buffer.alloc(4);
    window.writeUInt32BE(this.#unacknowledged, 0);
    this.#unacknowledged = 0;
    this.#socket.write(frame(types.window, 0, 0, window));
  }
}

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** HPACK without a table: POST, http, and the rest as literals that are not indexed. */
function headerBlock(path: string): Buffer {
  const text = (value: string): Buffer =>
    Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
  const literal = (name: string, value: string): Buffer =>
    Buffer.concat([Buffer.from([0]), text(name), text(value)]);
  return Buffer.concat([
    Buffer.from([0x83, 0x86]),
    literal(':path', path),
    literal(':authority', 'trustplane_authz'),
    literal('content-type', 'application/grpc'),
    literal('te', 'trailers'),
    literal('grpc-timeout', '200m'),
  ]);
}
