import type { LoadedPolicies, PolicyText } from '../app/load-policies.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { readInput } from './read-input.ts';

const MAX_BYTES = 1_048_576;

/**
 * Loads the policies that a command names: files, directories of them, `-` for standard input.
 * @throws TrustplaneError ERR_POLICY, ERR_USAGE when there is none and must be one
 */
export async function loadNamedPolicies(
  names: readonly string[],
  mayBeNone = false,
): Promise<LoadedPolicies> {
  const { loadPolicies } = await import('../app/load-policies.ts');
  return await loadPolicies(await findNamedTexts(names, mayBeNone));
}

/** The same unread. @throws TrustplaneError ERR_POLICY, ERR_USAGE when there is none and must be one */
export async function findNamedTexts(
  names: readonly string[],
  mayBeNone = false,
): Promise<readonly PolicyText[]> {
  const { findNamedPolicyFiles, readPolicyBytes } = await import('../app/policy-files.ts');
  const files = await findNamedPolicyFiles(names);
  if (files.length > 0 || mayBeNone)
    return files.map((file) =>
      file === '-' ? standardInput : { file, read: async () => await readPolicyBytes(file) },
    );
  throw new TrustplaneError('ERR_USAGE', `no policy files (*.yaml, *.yml) in ${names.join(', ')}`);
}

const standardInput: PolicyText = {
  file: 'standard input',
  read: async () => await readInput('-', MAX_BYTES),
};
