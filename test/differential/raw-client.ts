import { connect as connectTcp } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';

/** An HTTP/1.1 answer; names in lower case. */
export interface RawAnswer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

export interface RawClientOptions {
  /** Default: 127.0.0.1. */
  readonly host?: string;
  readonly port: number;
  readonly localAddress: string;
  /** PEM; undefined: no certificate is shown. */
  readonly identity: { readonly cert: string; readonly key: string } | undefined;
  /** Sent before TLS begins. */
  readonly preface?: string;
}

const TIMEOUT_MS = 20_000;

/** Sends bytes as they are over TLS, one request after the other; connects again where it was cut off. */
export class RawClient {
  readonly #options: RawClientOptions;
  #socket: TLSSocket | undefined;

  constructor(options: RawClientOptions) {
    this.#options = options;
  }

  async ask(head: string): Promise<RawAnswer> {
    const socket = this.#socket ?? (await this.#connect());
    const answer = await new Promise<RawAnswer>((resolve, reject) => {
      let text = '';
      const end = (settle: () => void): void => {
        socket.off('data', take).off('close', fail).off('error', fail).off('timeout', fail);
        settle();
      };
      const fail = (cause?: unknown): void =>
        end(() => reject(new Error(`no answer to ${head}: ${text}`, { cause })));
      const take = (chunk: Buffer): void => {
        text += chunk.toString('latin1');
        const whole = parseAnswer(text);
        if (whole !== undefined) end(() => resolve(whole));
      };
      socket.on('data', take).on('close', fail).on('error', fail).on('timeout', fail);
      socket.write(head, 'latin1');
    });
    if (answer.headers.get('connection') === 'close') this.close();
    return answer;
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  async #connect(): Promise<TLSSocket> {
    const { host = '127.0.0.1', port, localAddress, identity, preface = '' } = this.#options;
    const connection = connectTcp({ host, port, localAddress });
    if (preface !== '') connection.write(preface);
    const socket = connect({
      socket: connection,
      ...identity,
      // Whom it calls is not in question.
      rejectUnauthorized: false,
    });
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve).once('error', reject);
    });
    socket.setTimeout(TIMEOUT_MS);
    socket.on('error', () => {});
    socket.on('close', () => {
      if (this.#socket === socket) this.#socket = undefined;
    });
    this.#socket = socket;
    return socket;
  }
}

/** Undefined: there is more to come. */
export function parseAnswer(text: string): RawAnswer | undefined {
  const end = text.indexOf('\r\n\r\n');
  if (end === -1) return undefined;
  const [first = '', ...lines] = text.slice(0, end).split('\r\n');
  const headers = new Map(
    lines.map((line) => {
      const at = line.indexOf(':');
      return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()] as const;
    }),
  );
  const status = Number(first.split(' ')[1]);
  const body = text.slice(end + 4);
  if (headers.get('transfer-encoding') === 'chunked')
    return body.endsWith('0\r\n\r\n') ? { status, headers, body } : undefined;
  const length = Number(headers.get('content-length') ?? 0);
  return body.length < length ? undefined : { status, headers, body };
}
