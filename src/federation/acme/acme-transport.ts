import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { readBytes } from '../../ops/index.ts';
import { messageOf, TrustplaneError } from '../../spiffe/index.ts';

const TIMEOUT_MS = 15_000;
const MAX_BYTES = 262_144;
const USER_AGENT = 'trustplane';

export interface AcmeRequest {
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly url: string;
  /** A JWS; undefined: none. */
  readonly body?: string;
}

export interface AcmeResponse {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** HTTPS to an ACME authority. @throws TrustplaneError ERR_ACME_UNAVAILABLE, ERR_ACME_ANSWER */
export type AcmeTransport = (request: AcmeRequest) => Promise<AcmeResponse>;

/** Redirects are not followed, and nothing but https is spoken (RFC 8555, section 6.1). @param ca PEM; undefined: the public authorities */
export function createAcmeTransport(ca: string | undefined, signal: AbortSignal): AcmeTransport {
  return async ({ method, url, body }) => {
    if (!URL.canParse(url) || new URL(url).protocol !== 'https:') {
      throw new TrustplaneError(
        'ERR_ACME_ANSWER',
        `expected an https URL; got ${url.slice(0, 200)}`,
      );
    }
    const headers = {
      'user-agent': USER_AGENT,
      ...(body !== undefined && {
        'content-type': 'application/jose+json',
        'content-length': String(Buffer.byteLength(body)),
      }),
    };
    try {
      const deadline = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        const settings = { method, headers, agent: false, minVersion: 'TLSv1.2' } as const;
        const trusted = ca === undefined ? {} : { ca };
        request(url, { ...settings, ...trusted, signal: deadline }, resolve)
          .on('error', reject)
          .end(body);
      });
      return {
        status: response.statusCode ?? 0,
        headers: response.headers,
        body: (await readBytes(response, MAX_BYTES)).toString('utf8'),
      };
    } catch (cause) {
      const message = `${method} ${url} failed: ${messageOf(cause)}`;
      throw new TrustplaneError('ERR_ACME_UNAVAILABLE', message, { cause });
    }
  };
}
