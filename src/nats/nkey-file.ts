import { open } from 'node:fs/promises';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import { clientLibrary } from './client-library.ts';

/**
 * Makes the NKEY of a user, with its seed in a new file of mode 0600; returns the public key.
 * @throws TrustplaneError ERR_FILE_WRITE, also where there is a file already
 */
export async function createNkeyFile(file: string): Promise<string> {
  const pair = clientLibrary().nkeys.createUser();
  try {
    await using handle = await open(file, 'wx', 0o600);
    await handle.writeFile(pair.getSeed());
    await handle.writeFile('\n');
    await handle.sync();
    return pair.getPublicKey();
  } catch (error) {
    throw new TrustplaneError(
      'ERR_FILE_WRITE',
      `the seed was not written to ${file}, which has to be a new file; choose another name, or move away what is there (${messageOf(error)})`,
    );
  }
}
