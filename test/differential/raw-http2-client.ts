import { type ClientHttp2Session, connect, type OutgoingHttpHeaders } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { RawAnswer, RawClientOptions } from './raw-client.ts';

/** A request of HTTP/2; names in lower case, one entry per line. */
export interface Http2Request {
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly lines: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

const TIMEOUT_MS = 20_000;

/** Sends requests of HTTP/2 as they are told, whatever their methods and paths are. */
export class RawHttp2Client {
  readonly #options: RawClientOptions;
  #session: ClientHttp2Session | undefined;

  constructor(options: RawClientOptions) {
    this.#options = options;
  }

  async ask(request: Http2Request): Promise<RawAnswer> {
    const session = this.#session ?? this.#connect();
    const stream = session.request(headersOf(request), { endStream: request.body === '' });
    return await new Promise<RawAnswer>((resolve, reject) => {
      const headers = new Map<string, string>();
      let status = 0;
      let body = '';
      stream.on('response', (told) => {
        for (const [name, value] of Object.entries(told)) headers.set(name, String(value));
        status = Number(told[':status']);
      });
      stream.on('data', (chunk: Buffer) => {
        body += chunk.toString('latin1');
      });
      stream.on('error', reject);
      stream.on('close', () =>
        status === 0
          ? reject(new Error(`no answer to ${JSON.stringify(request)}: ${stream.rstCode}`))
          : resolve({ status, headers, body }),
      );
      if (request.body !== '') stream.end(request.body);
    });
  }

  close(): void {
    this.#session?.destroy();
    this.#session = undefined;
  }

  #connect(): ClientHttp2Session {
    const { host = '127.0.0.1', port, localAddress, identity } = this.#options;
    const session = connect(`https://${host}:${port}`, {
      createConnection: () =>
        connectTls({
          socket: connectTcp({ host, port, localAddress }),
          ...identity,
          ALPNProtocols: ['h2'],
          // Whom it calls is not in question.
          rejectUnauthorized: false,
        }),
    });
    session.setTimeout(TIMEOUT_MS, () => session.destroy(new Error('no answer in time')));
    session.on('error', () => {});
    session.on('close', () => {
      if (this.#session === session) this.#session = undefined;
    });
    this.#session = session;
    return session;
  }
}

function headersOf({ method, path, authority, lines }: Http2Request): OutgoingHttpHeaders {
  const named = Map.groupBy(lines, ([name]) => name.toLowerCase());
  const more = [...named].map(([name, all]) => {
    const values = all.map(([, value]) => value);
    return [name, values.length === 1 ? values[0] : values];
  });
  return {
    ':method': method,
    ':path': path,
    ':scheme': 'https',
    ':authority': authority,
    ...Object.fromEntries(more),
  };
}
