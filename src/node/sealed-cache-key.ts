import { hkdfSync } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { chmod, link, lstat, mkdir, open, realpath, rm } from 'node:fs/promises';
import path from 'node:path';
import { readFileBounded } from '../ops/index.ts';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';

const CREDENTIAL = 'trustplane-agent-cache-key';
const KEY_BYTES = 32;
const MAX_KEY_FILE_BYTES = 4096;
const PRIVATE = 0o600;
const OTHERS = 0o077;

export interface CacheKeyOptions {
  /** `$CREDENTIALS_DIRECTORY`: what systemd hands to this service alone. */
  readonly credentialsFolder: string | undefined;
  /** Read when there is no such credential; made when missing. */
  readonly keyFile: string;
  /** Where the cache is: the key is kept elsewhere. Exists. */
  readonly dataDir: string;
  readonly random: (count: number) => Uint8Array;
}

export interface CacheKey {
  readonly bytes: Uint8Array;
  /** The file it comes from. */
  readonly file: string;
}

/**
 * The key of the agent's cache, derived (HKDF-SHA-256) from the 32 to 4096 bytes of a systemd
 * credential, else of the key file. Who may read a credential is systemd's to say; a key file belongs
 * to this user, is closed to all others, and does not lie beside what it seals.
 * @throws TrustplaneError ERR_CACHE_KEY_FILE
 */
export async function loadCacheKey(options: CacheKeyOptions): Promise<CacheKey> {
  const { credentialsFolder, keyFile } = options;
  if (credentialsFolder !== undefined) {
    const file = path.join(credentialsFolder, CREDENTIAL);
    const secret = await read(file);
    if (secret !== undefined) return { file, bytes: derive(secret, file) };
  }
  const file = await locate(keyFile, options.dataDir);
  if ((await statsOf(file)) === undefined) await create(file, options.random);
  checkPrivate(file, await statsOf(file));
  return { file, bytes: derive((await read(file)) ?? new Uint8Array(), file) };
}

/** The file by its real folder, which is made when it is missing. */
async function locate(keyFile: string, dataDir: string): Promise<string> {
  try {
    await mkdir(path.dirname(keyFile), { recursive: true, mode: 0o700 });
    const file = path.join(await realpath(path.dirname(keyFile)), path.basename(keyFile));
    const within = path.relative(await realpath(dataDir), file);
    if (within.startsWith('..') || path.isAbsolute(within)) return file;
  } catch (error) {
    throw refused(keyFile, `cannot be made: ${messageOf(error)}`, error);
  }
  throw refused(
    keyFile,
    `lies in the data directory ${dataDir}: whoever gets the one would have the other; set agent.cache.keyFile to a file elsewhere`,
  );
}

/** Makes the file whole, or leaves the one that another process made meanwhile. */
async function create(file: string, random: CacheKeyOptions['random']): Promise<void> {
  const suffix = Buffer.from(random(6)).toString('hex');
  const temporary = path.join(path.dirname(file), `.${path.basename(file)}.${suffix}.tmp`);
  try {
    await using handle = await open(temporary, 'wx', PRIVATE);
    await handle.writeFile(random(KEY_BYTES));
    await handle.sync();
    await chmod(temporary, PRIVATE);
    await link(temporary, file).catch(unlessExists);
    await using folder = await open(path.dirname(file), constants.O_RDONLY);
    await folder.sync();
  } catch (error) {
    throw refused(file, `cannot be made: ${messageOf(error)}`, error);
  } finally {
    await rm(temporary, { force: true });
  }
}

function unlessExists(error: unknown): void {
  if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return;
  throw error;
}

function checkPrivate(file: string, stats: Stats | undefined): void {
  if (stats?.isFile() !== true) throw refused(file, 'is not a regular file');
  const uid = process.geteuid?.();
  if (uid !== undefined && stats.uid !== uid) {
    throw refused(file, `belongs to uid ${stats.uid}; expected uid ${uid}`);
  }
  if ((stats.mode & OTHERS) === 0) return;
  const mode = (stats.mode & 0o7777).toString(8).padStart(4, '0');
  throw refused(file, `has mode ${mode}, so that others may have read it; expected 0600`);
}

async function statsOf(file: string): Promise<Stats | undefined> {
  try {
    return await lstat(file);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw refused(file, `cannot be read: ${messageOf(error)}`, error);
  }
}

async function read(file: string): Promise<Uint8Array | undefined> {
  try {
    return await readFileBounded(file, MAX_KEY_FILE_BYTES);
  } catch (error) {
    throw refused(file, `cannot be read: ${messageOf(error)}`, error);
  }
}

function derive(secret: Uint8Array, file: string): Uint8Array {
  if (secret.length < KEY_BYTES) {
    throw refused(file, `has ${secret.length} bytes; expected at least ${KEY_BYTES} random ones`);
  }
  return new Uint8Array(hkdfSync('sha256', secret, '', 'trustplane agent cache', KEY_BYTES));
}

function refused(file: string, why: string, cause?: unknown): TrustplaneError {
  const message = `the key file ${file} of the agent's cache ${why}`;
  return new TrustplaneError('ERR_CACHE_KEY_FILE', message, cause === undefined ? {} : { cause });
}
