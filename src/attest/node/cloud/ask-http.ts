import { request as requestPlain } from 'node:http';
import { request as requestTls } from 'node:https';
import { readBytes } from '../../../ops/index.ts';

export interface HttpQuestion {
  readonly method?: 'GET' | 'POST' | 'PUT';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Of the answer; default 1 MiB. */
  readonly maxBytes?: number;
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: Buffer;
}

/** Asks once; a redirect is an answer like any other. @throws Error without an answer in time and bounds */
export type AskHttp = (url: string, question?: HttpQuestion) => Promise<HttpAnswer>;

const DEFAULT_TIMEOUT_MS = 5_000;
const DEFAULT_MAX_BYTES = 1 << 20;

/**
 * `certificateAuthorities`: PEM, instead of the machine's. `client`: PEM, what is shown when asked for.
 * `serverName`: in place of the URL's host. `timeoutMs`: of a whole answer, default 5 s.
 */
export function createAskHttp(
  options: {
    readonly certificateAuthorities?: string | undefined;
    readonly client?: { readonly cert: string; readonly key: string } | undefined;
    readonly serverName?: string | undefined;
    readonly timeoutMs?: number;
  } = {},
): AskHttp {
  const { certificateAuthorities: ca, client, serverName: servername } = options;
  const { timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  return async (url, { method = 'GET', headers = {}, body, maxBytes = DEFAULT_MAX_BYTES } = {}) => {
    const target = new URL(url);
    const signal = AbortSignal.timeout(timeoutMs);
    const length = body === undefined ? {} : { 'Content-Length': `${Buffer.byteLength(body)}` };
    const settings = { method, headers: { ...headers, ...length }, signal, agent: false } as const;
    const call =
      target.protocol === 'https:'
        ? requestTls(target, {
            ...settings,
            minVersion: 'TLSv1.2',
            ...client,
            ...(ca !== undefined && { ca }),
            ...(servername !== undefined && { servername }),
          })
        : requestPlain(target, settings);
    try {
      return await new Promise<HttpAnswer>((resolve, reject) => {
        call.on('error', reject);
        call.on('response', (response) => {
          const { statusCode: status = 0 } = response;
          readBytes(response, maxBytes).then((read) => resolve({ status, body: read }), reject);
        });
        call.end(body);
      });
    } catch (error) {
      if (signal.aborted) throw new Error(`no answer within ${timeoutMs} ms`, { cause: error });
      throw error;
    } finally {
      call.destroy();
    }
  };
}
