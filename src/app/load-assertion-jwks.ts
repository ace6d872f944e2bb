import { assertionJwks, loadAssertionKeys } from '../check/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import type { Config } from './config.ts';

/**
 * The public keys of those that sign assertions, as a JWK Set, from the file where they are kept.
 * @throws TrustplaneError ERR_CONFIG where they are kept in no file, ERR_ASSERTION_KEYS, ERR_FILE_*
 */
export async function loadAssertionJwks({ authz }: Pick<Config, 'authz'>): Promise<string> {
  const file = authz?.assertion?.keyFile;
  if (file === undefined)
    throw new TrustplaneError(
      'ERR_CONFIG',
      'authz.assertion.keyFile is not set: the keys are in the process alone, which shows them at /authz/jwks.json beside its metrics',
    );
  const keys = await loadAssertionKeys(file);
  if (keys.length > 0) return assertionJwks(keys);
  throw new TrustplaneError('ERR_ASSERTION_KEYS', `${file}: there are no keys yet`);
}
