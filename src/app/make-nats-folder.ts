import { mkdir } from 'node:fs/promises';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';

/** Makes the folder of a nats-server, unless it is there; it holds no secret that others may read. @throws TrustplaneError ERR_FILE_WRITE */
export async function makeNatsFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o755 });
  } catch (cause) {
    const message = `${folder} is no folder and cannot be made one; choose another with --dir (${messageOf(cause)})`;
    throw new TrustplaneError('ERR_FILE_WRITE', message, { cause });
  }
}
