import {
  type BundleDocument,
  type Clock,
  parseBundleDocument,
  type TrustDomain,
  TrustplaneError,
} from '../../spiffe/index.ts';
import { connectEndpoint, type Presented } from './connect-endpoint.ts';
import type { EndpointTrust } from './endpoint-trust.ts';
import { fetchLimits } from './fetch-limits.ts';
import { isPublicAddress } from './public-address.ts';
import { isRedirect, parseRedirect } from './redirect.ts';
import { type Answer, requestAnswer } from './request-answer.ts';

export interface BundleRequest {
  /** Whose bundle it is; neither the URL nor the document says (SPIFFE Federation §5.1). */
  readonly trustDomain: TrustDomain;
  readonly url: string;
  readonly trust: EndpointTrust;
  /** Of what is known; then an endpoint may say that nothing has changed. */
  readonly etag: string | undefined;
  /** 0: none is followed. */
  readonly maxRedirects: number;
  readonly clock: Clock;
  /** Aborts with what is to be thrown. */
  readonly signal: AbortSignal;
  /** Told of each server on the way what it presented, before it is judged. */
  readonly onPresented: (presented: Presented) => void;
}

export interface FetchedBundle {
  /** Undefined: it is the one with the ETag that was asked with. */
  readonly document: BundleDocument | undefined;
  readonly etag: string | undefined;
}

/**
 * Fetches the bundle of a trust domain from its endpoint (SPIFFE Federation §5.2), by exactly the
 * profile it is told, within 10 s a connection and 30 s in all.
 * @throws TrustplaneError ERR_FETCH_*, ERR_TLS_SERVER_ID, ERR_CERTIFICATE, ERR_X509_*, ERR_JSON, ERR_BUNDLE;
 * what the signal aborts with
 */
export async function fetchBundle(request: BundleRequest): Promise<FetchedBundle> {
  const { trustDomain, etag } = request;
  const answer = await within(fetchLimits.totalMs, 'the fetch', request, (signal) =>
    follow({ ...request, signal }),
  );
  if (answer.status === 200) {
    return { document: parseBundleDocument(trustDomain, answer.body), etag: answer.etag };
  }
  if (answer.status === 304 && etag !== undefined) return { document: undefined, etag };
  throw new TrustplaneError(
    'ERR_FETCH_ANSWER',
    `expected the endpoint to answer 200; got ${answer.status}`,
  );
}

/** Asks the configured URL, then where redirects lead, each by the same rules. */
async function follow(request: BundleRequest): Promise<Answer> {
  const { maxRedirects, etag } = request;
  let { url } = request;
  let mustBePublic = false;
  for (let redirects = 0; ; redirects++) {
    const { socket, presented } = await within(
      fetchLimits.connectMs,
      'the connection',
      request,
      (signal) => connectEndpoint(url, { ...request, signal, mustBePublic }),
    );
    const answer = await requestAnswer(socket, url, etag);
    if (!isRedirect(answer.status)) return answer;
    if (redirects === maxRedirects) {
      const message = `expected at most ${maxRedirects} redirects; got one more`;
      throw new TrustplaneError('ERR_FETCH_REDIRECT', message);
    }
    mustBePublic ||= isPublicAddress(presented.address);
    url = parseRedirect(answer.locations, url);
  }
}

/** Runs `work` with a signal that aborts after a time too; what it connects lives by that signal until it is closed. */
async function within<Result>(
  timeoutMs: number,
  what: string,
  { clock, signal }: Pick<BundleRequest, 'clock' | 'signal'>,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const deadline = new AbortController();
  const timer = clock.setTimer(timeoutMs, () => {
    const message = `${what} took over ${timeoutMs} ms`;
    deadline.abort(new TrustplaneError('ERR_FETCH_TIMEOUT', message));
  });
  const either = AbortSignal.any([signal, deadline.signal]);
  try {
    return await work(either);
  } catch (error) {
    // What was aborted may fail in any way.
    either.throwIfAborted();
    throw error;
  } finally {
    timer.cancel();
  }
}
