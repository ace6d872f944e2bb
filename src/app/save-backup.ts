import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { type Backup, parseBackup } from '../backup/index.ts';
import { syncFolder } from '../ops/index.ts';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';

/**
 * Writes the chunks of a backup into a file (0600), which is there when it was read again and is whole.
 * @throws TrustplaneError ERR_BACKUP_FILE, ERR_BACKUP_DAMAGED; what the chunks throw; then the file is as it was
 */
export async function saveBackup(
  file: string,
  chunks: AsyncIterable<Uint8Array>,
  isForced: boolean,
): Promise<Backup & { readonly bytes: number }> {
  if (existsSync(file) && !isForced) {
    const message = `${file} exists already; name another file, or --force to replace it`;
    throw new TrustplaneError('ERR_STORE_NOT_EMPTY', message);
  }
  const folder = path.dirname(path.resolve(file));
  const name = `.${path.basename(file)}.${randomBytes(6).toString('hex')}.tmp`;
  const temporary = path.join(folder, name);
  try {
    const bytes = await write(temporary, chunks);
    const backup = await parseBackup(temporary);
    await rename(temporary, file);
    await syncFolder(folder);
    return { ...backup, bytes };
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    if (error instanceof TrustplaneError) throw error;
    const message = `the backup ${file} cannot be written: ${messageOf(error)}`;
    throw new TrustplaneError('ERR_BACKUP_FILE', message, { cause: error });
  }
}

async function write(file: string, chunks: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0;
  await using handle = await open(file, 'wx', 0o600);
  for await (const chunk of chunks) {
    await handle.writeFile(chunk);
    bytes += chunk.length;
  }
  await handle.sync();
  return bytes;
}
