import type { Agent, IncomingHttpHeaders } from 'node:http';
import { request } from 'node:http';

/** A whole HTTP response. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** One HTTP/1.1 request over a Unix socket. Rejects on any failure below HTTP and after a timeout. */
export async function requestUnix(options: {
  readonly socketPath: string;
  readonly path: string;
  readonly method?: string;
  readonly agent?: Agent;
  readonly headers?: Readonly<Record<string, string>>;
  /** Default 5,000. */
  readonly timeoutMs?: number;
}): Promise<HttpAnswer> {
  const { timeoutMs = 5000, headers = {}, ...rest } = options;
  return await new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const outgoing = request({
      agent: false,
      ...rest,
      signal,
      headers: { host: 'test', ...headers },
    });
    outgoing.on('error', reject);
    outgoing.on('response', (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('error', reject);
      incoming.on('end', () =>
        resolve({
          status: incoming.statusCode ?? 0,
          headers: incoming.headers,
          body: Buffer.concat(chunks).toString('utf8'),
        }),
      );
    });
    outgoing.end();
  });
}
