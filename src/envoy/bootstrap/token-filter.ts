import type { JwtProvider } from './bootstrap-options.ts';
import { keysCluster } from './clusters.ts';
import { note, type TreeMap } from './commented-tree.ts';

/** Where the filter leaves the claims. */
export const tokenNamespace = 'envoy.filters.http.jwt_authn';

/** Verifies tokens of login services where there are any. */
export function tokenFilter(providers: readonly JwtProvider[]): TreeMap {
  const named = providers.map((provider, index) => ({ name: `login_${index}`, provider, index }));
  return {
    name: tokenNamespace,
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication',
      providers: Object.fromEntries(
        named.map(({ name, provider, index }) => [name, providerOf(provider, index)]),
      ),
      rules: note(
        'A token that is not good ends with 401. A request without one goes on, and policies that want claims do not match it.',
        [
          {
            match: { prefix: '/' },
            requires: {
              requires_any: {
                requirements: [
                  ...named.map(({ name }) => ({ provider_name: name })),
                  { allow_missing: {} },
                ],
              },
            },
          },
        ],
      ),
    },
  };
}

function providerOf({ issuer, audiences, keys }: JwtProvider, index: number): TreeMap {
  return {
    issuer,
    audiences: note('Without audiences tokens for any other application are good here.', audiences),
    require_expiration: true,
    payload_in_metadata: note(
      'The name that `authz.jwt.metadataKey` has by default.',
      'jwt_payload',
    ),
    forward: note('The application is told a user by policy, and never sees the token.', false),
    ...('file' in keys
      ? { local_jwks: { filename: keys.file } }
      : {
          remote_jwks: {
            http_uri: { uri: keys.url, cluster: keysCluster(index), timeout: '5s' },
            cache_duration: '300s',
            async_fetch: {},
          },
        }),
  };
}
