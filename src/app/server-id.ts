import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { readFileBounded, writeFileAtomic } from '../ops/index.ts';
import { isServerId } from '../servers/index.ts';
import { quote, TrustplaneError } from '../spiffe/index.ts';

/** Of the only server of its control plane, and of what was one. */
const ALONE = 'local';
const ID_BYTES = 5;
const MAX_BYTES = 128;
const PRIVATE = 0o600;

/**
 * What names this server among those of its control plane, and its keys and authorities: made once, and kept
 * beside them in the data directory, which this process holds alone.
 * @param isShared other servers may have the same store
 * @throws TrustplaneError ERR_SERVER_ID when the configuration says another; ERR_FILE_*
 */
export async function loadServerId(
  config: { readonly dataDir: string; readonly serverId: string | undefined },
  isShared: boolean,
): Promise<string> {
  const { dataDir, serverId: configured } = config;
  const file = path.join(dataDir, 'server-id');
  const stored = await readFileBounded(file, MAX_BYTES);
  if (stored === undefined) {
    const id = firstId(dataDir, configured, isShared);
    checkSame(id, configured, dataDir);
    await writeFileAtomic(file, Buffer.from(`${id}\n`), { mode: PRIVATE });
    return id;
  }
  const id = Buffer.from(stored).toString('latin1').trim();
  if (!isServerId(id)) throw failure(`${file} holds no server ID; got ${quote(id)}`);
  checkSame(id, configured, dataDir);
  return id;
}

/** A data directory of an earlier release has things of a server that is called so. */
function firstId(dataDir: string, configured: string | undefined, isShared: boolean): string {
  const keys = path.join(dataDir, 'keys');
  const wasUsed =
    existsSync(path.join(dataDir, 'trustplane.db')) ||
    (existsSync(keys) && readdirSync(keys).length > 0);
  if (wasUsed) return ALONE;
  return configured ?? (isShared ? randomBytes(ID_BYTES).toString('hex') : ALONE);
}

function checkSame(id: string, configured: string | undefined, dataDir: string): void {
  if (configured === undefined || configured === id) return;
  throw failure(
    `server.id is ${configured}, but the data directory ${dataDir} and its keys belong to the server ${id}; say so, or choose an empty data directory`,
  );
}

function failure(message: string): TrustplaneError {
  return new TrustplaneError('ERR_SERVER_ID', message);
}

/**
 * What tells a data directory from all others that a process of this boot of the machine may hold; undefined
 * where that cannot be told.
 */
export async function placeOf(dataDir: string): Promise<string | undefined> {
  try {
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'latin1');
    const { dev, ino } = await stat(dataDir, { bigint: true });
    const text = `${boot.trim()} ${dev} ${ino}`;
    return createHash('sha256').update(text).digest('base64url').slice(0, 22);
  } catch {
    return undefined;
  }
}
