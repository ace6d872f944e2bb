import type { HttpAttributes } from './check-request.ts';

interface BodyFacts {
  readonly http: Pick<HttpAttributes, 'method' | 'headers' | 'hasBody'> | undefined;
  readonly contextExtensions: ReadonlyMap<string, string>;
}

/**
 * The context extension of a route whose proxy waits for the body: with the value `buffered`, a request with
 * neither Content-Length nor a piece of a body has none.
 */
const BODY_EXTENSION = 'trustplane.body';

/**
 * How many octets the body of a request has; undefined when that cannot be known. A proxy asks when it has the
 * headers, and leaves transfer codings out of them: only Content-Length, which it holds a body to, tells. A body
 * of which there is a piece may go on: Envoy calls a first piece as large as its buffer the whole
 * (`x-envoy-auth-partial-body: false`), whatever follows. What an upgrade or CONNECT opens has no end.
 */
export function bodyBytesOf(request: BodyFacts): number | undefined {
  const { http, contextExtensions } = request;
  if (http === undefined || http.method === 'CONNECT' || http.headers('upgrade').length > 0) {
    return undefined;
  }
  const [length, ...others] = http.headers('content-length');
  if (length !== undefined) {
    return others.length === 0 && /^\d{1,15}$/u.test(length) ? Number(length) : undefined;
  }
  return contextExtensions.get(BODY_EXTENSION) === 'buffered' && !http.hasBody ? 0 : undefined;
}
