import { type IncomingMessage, request } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { messageOf, quote, TrustplaneError } from '../../spiffe/index.ts';
import { fetchLimits } from './fetch-limits.ts';

/** What a server answered; the body is within bounds, and read only where the status is 200. */
export interface Answer {
  readonly status: number;
  readonly etag: string | undefined;
  readonly locations: readonly string[] | undefined;
  readonly body: Uint8Array;
}

const ETAG = /^(?:W\/)?"[!#-~]{0,256}"$/u;

/**
 * Asks over a connection for what is at a URL, and closes it. Nothing is sent that says who asks.
 * @param etag what was there before
 * @throws TrustplaneError ERR_FETCH_ANSWER, ERR_FETCH_TOO_LARGE; what the connection was destroyed with
 */
export async function requestAnswer(
  socket: TLSSocket,
  url: string,
  etag: string | undefined,
): Promise<Answer> {
  try {
    return await readAnswer(await ask(socket, url, etag));
  } catch (error) {
    // What destroyed the connection tells more than that it was.
    const cause = socket.errored ?? error;
    if (cause instanceof TrustplaneError) throw cause;
    throw refused(`is not understood: ${messageOf(cause)}`, cause);
  } finally {
    socket.destroy();
  }
}

async function ask(
  socket: TLSSocket,
  url: string,
  etag: string | undefined,
): Promise<IncomingMessage> {
  const { host, pathname, search } = new URL(url);
  return await new Promise((resolve, reject) => {
    const asked = request({
      createConnection: () => socket,
      path: `${pathname}${search}`,
      setHost: false,
      headers: {
        host,
        accept: 'application/json',
        'accept-encoding': 'identity',
        ...(etag !== undefined && { 'if-none-match': etag }),
      },
      maxHeaderSize: fetchLimits.headerBytes,
    });
    asked.maxHeadersCount = fetchLimits.headers;
    asked.on('error', reject);
    asked.once('upgrade', () => reject(refused('switches to another protocol')));
    asked.once('response', resolve);
    asked.end();
  });
}

async function readAnswer(response: IncomingMessage): Promise<Answer> {
  const { statusCode: status = 0, headers } = response;
  return {
    status,
    etag: headers.etag !== undefined && ETAG.test(headers.etag) ? headers.etag : undefined,
    locations: response.headersDistinct['location'],
    body: status === 200 ? await readBody(response) : new Uint8Array(),
  };
}

async function readBody(response: IncomingMessage): Promise<Uint8Array> {
  const { bodyBytes } = fetchLimits;
  const encoding = response.headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    throw refused(`has the content encoding ${quote(encoding)}, which was not asked for`);
  }
  if (Number(response.headers['content-length'] ?? 0) > bodyBytes) throw tooLarge();
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response) {
    if (!Buffer.isBuffer(chunk)) continue;
    length += chunk.length;
    if (length > bodyBytes) throw tooLarge();
    chunks.push(chunk);
  }
  if (!response.complete) throw refused('ends too early');
  return Buffer.concat(chunks);
}

function tooLarge(): TrustplaneError {
  return new TrustplaneError(
    'ERR_FETCH_TOO_LARGE',
    `the endpoint's answer has more than ${fetchLimits.bodyBytes} bytes`,
  );
}

function refused(why: string, cause?: unknown): TrustplaneError {
  return new TrustplaneError('ERR_FETCH_ANSWER', `the endpoint's answer ${why}`, { cause });
}
