import { quote, TrustplaneError } from '../../spiffe/index.ts';
import { parseEndpointUrl } from '../relationship.ts';

const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];

export function isRedirect(status: number): boolean {
  return REDIRECTS.includes(status);
}

/**
 * Where a redirect leads: an endpoint URL as a configured one is (SPIFFE Federation §5.2.1.3), absolute
 * or relative to where the redirect came from. All redirects are temporary (§7.5.1).
 * @param locations the values of all headers `Location`
 * @throws TrustplaneError ERR_FETCH_REDIRECT
 */
export function parseRedirect(locations: readonly string[] | undefined, from: string): string {
  const [location, ...more] = locations ?? [];
  if (location === undefined || more.length > 0) {
    throw refused(`expected one header Location; got ${locations?.length ?? 0}`);
  }
  // Whatever a URL parser would quietly repair is refused.
  if (!/^[!-~]{1,2048}$/u.test(location) || location.includes('\\')) {
    throw refused(`leads to ${quote(location, 200)}, which is no URL`);
  }
  const isAbsolute = /^[A-Za-z][A-Za-z0-9+.-]*:/u.test(location);
  try {
    return parseEndpointUrl(isAbsolute ? location : new URL(location, from).href);
  } catch (cause) {
    const why = cause instanceof TrustplaneError ? cause.message : 'it is no URL';
    throw refused(`leads to ${quote(location, 200)}: ${why}`, cause);
  }
}

function refused(why: string, cause?: unknown): TrustplaneError {
  return new TrustplaneError('ERR_FETCH_REDIRECT', `the redirect of the endpoint ${why}`, {
    cause,
  });
}
