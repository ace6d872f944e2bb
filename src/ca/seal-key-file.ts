import { createCipheriv, createDecipheriv, scrypt } from 'node:crypto';
import { writeFileAtomic } from '../ops/index.ts';
import { type JsonValue, messageOf, parseJson, TrustplaneError } from '../spiffe/index.ts';
import { readPrivateFile } from './private-file.ts';
import { damaged, SEAL_KEY_BYTES } from './sealed-key.ts';
import type { RandomBytes } from './serial-number.ts';

const VERSION = 1;
const CIPHER = 'aes-256-gcm';
const SALT_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const PRIVATE = 0o600;
const MAX_FILE_BYTES = 4_096;
/** The second one only while files are sealed anew. */
const MAX_KEYS = 2;

/** Cost of guessing a passphrase (RFC 7914); memory is 128 × n × r bytes. */
export interface ScryptCost {
  readonly n: number;
  readonly r: number;
  readonly p: number;
}

/** 128 MiB and about half a second. */
const STANDARD: ScryptCost = { n: 2 ** 17, r: 8, p: 1 };
/** What a file may ask of whoever opens it: 1 GiB at most, and no less than this protects. */
const BOUNDS = { minN: 2 ** 14, maxN: 2 ** 20, r: 8, maxP: 4 } as const;

export interface SealKeyFileOptions {
  /** Undefined: the keys stand in the file as they are. */
  readonly passphrase: Uint8Array | undefined;
  readonly random: RandomBytes;
  readonly cost?: ScryptCost;
}

/**
 * The keys that seal the private keys, the one for new ones first; undefined when there is no file.
 * @throws TrustplaneError ERR_KEY_FILE_DAMAGED, ERR_KEY_FILE_MODE, ERR_KEY_PASSPHRASE
 */
export async function readSealKeys(
  file: string,
  passphrase: Uint8Array | undefined,
): Promise<readonly Uint8Array[] | undefined> {
  const bytes = await readPrivateFile(file, MAX_FILE_BYTES);
  if (bytes === undefined) return undefined;
  const isPlain = bytes.length === SEAL_KEY_BYTES || bytes.length === MAX_KEYS * SEAL_KEY_BYTES;
  if (isPlain && passphrase === undefined) return split(bytes);
  if (isPlain) {
    throw wrong(file, 'is not sealed with a passphrase; run "trustplane keys reseal" first');
  }
  const document = parseDocument(bytes, file);
  if (passphrase !== undefined) return split(await open(document, passphrase, file));
  throw wrong(file, 'is sealed with a passphrase, and server.ca.sealPassphrase is not set');
}

/** Replaces the file whole. @throws TrustplaneError ERR_FILE_WRITE */
export async function writeSealKeys(
  file: string,
  keys: readonly Uint8Array[],
  options: SealKeyFileOptions,
): Promise<void> {
  await writeFileAtomic(file, await buildSealKeys(keys, options), { mode: PRIVATE });
}

/** What stands in such a file. */
export async function buildSealKeys(
  keys: readonly Uint8Array[],
  { passphrase, random, cost = STANDARD }: SealKeyFileOptions,
): Promise<Uint8Array> {
  const plain = Buffer.concat(keys);
  return passphrase === undefined ? plain : await seal(plain, passphrase, random, cost);
}

interface SealedDocument {
  readonly cost: ScryptCost;
  readonly salt: Buffer;
  readonly nonce: Buffer;
  readonly sealed: Buffer;
}

async function seal(
  plain: Uint8Array,
  passphrase: Uint8Array,
  random: RandomBytes,
  cost: ScryptCost,
): Promise<Uint8Array> {
  const salt = random(SALT_BYTES);
  const nonce = random(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, await derive(passphrase, salt, cost), nonce);
  cipher.setAAD(header(cost));
  const sealed = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  const base64 = (part: Uint8Array): string => Buffer.from(part).toString('base64');
  const parts = { salt: base64(salt), nonce: base64(nonce), sealed: base64(sealed) };
  const document = { version: VERSION, kdf: 'scrypt', ...cost, ...parts };
  return Buffer.from(`${JSON.stringify(document, undefined, 2)}\n`);
}

async function open(
  { cost, salt, nonce, sealed }: SealedDocument,
  passphrase: Uint8Array,
  file: string,
): Promise<Uint8Array> {
  const decipher = createDecipheriv(CIPHER, await derive(passphrase, salt, cost), nonce);
  decipher.setAAD(header(cost));
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  try {
    const opened = decipher.update(sealed.subarray(0, -TAG_BYTES));
    return Buffer.concat([opened, decipher.final()]);
  } catch {
    throw wrong(file, 'does not open with this passphrase, or it was changed');
  }
}

function derive(passphrase: Uint8Array, salt: Uint8Array, cost: ScryptCost): Promise<Buffer> {
  const { n: N, r, p } = cost;
  const maxmem = 128 * r * (N + p + 2);
  return new Promise((resolve, reject) => {
    scrypt(passphrase, salt, SEAL_KEY_BYTES, { N, r, p, maxmem }, (error, key) =>
      error === null ? resolve(key) : reject(error),
    );
  });
}

function header({ n, r, p }: ScryptCost): Buffer {
  return Buffer.from(`trustplane seal key\n${VERSION}\nscrypt\n${n}\n${r}\n${p}\n`);
}

function parseDocument(bytes: Uint8Array, file: string): SealedDocument {
  let document: JsonValue;
  try {
    document = parseJson(bytes);
  } catch (cause) {
    const what = `has ${bytes.length} bytes and is no JSON (${messageOf(cause)})`;
    throw damaged(file, `${what}; expected ${SEAL_KEY_BYTES} bytes, or a sealed key`, cause);
  }
  const field = (name: string): JsonValue | undefined =>
    document instanceof Map ? document.get(name) : undefined;
  if (field('version') !== VERSION || field('kdf') !== 'scrypt') {
    throw damaged(file, 'is of another version');
  }
  const part = (name: string, sizes: readonly number[]): Buffer => {
    const text = field(name);
    const decoded = Buffer.from(typeof text === 'string' ? text : '', 'base64');
    if (sizes.includes(decoded.length)) return decoded;
    throw damaged(file, `has a malformed ${name}`);
  };
  return {
    cost: parseCost(field('n'), field('r'), field('p'), file),
    salt: part('salt', [SALT_BYTES]),
    nonce: part('nonce', [NONCE_BYTES]),
    sealed: part(
      'sealed',
      [1, MAX_KEYS].map((count) => count * SEAL_KEY_BYTES + TAG_BYTES),
    ),
  };
}

/** A file that was changed cannot make this process work for hours, or a guess cheap. */
function parseCost(n: unknown, r: unknown, p: unknown, file: string): ScryptCost {
  const isPower = typeof n === 'number' && Number.isInteger(Math.log2(n));
  const isBounded = isPower && n >= BOUNDS.minN && n <= BOUNDS.maxN && r === BOUNDS.r;
  if (isBounded && typeof p === 'number' && Number.isInteger(p) && p >= 1 && p <= BOUNDS.maxP) {
    return { n, r: BOUNDS.r, p };
  }
  throw damaged(file, 'asks for a cost that is out of bounds');
}

function split(plain: Uint8Array): readonly Uint8Array[] {
  const count = plain.length / SEAL_KEY_BYTES;
  return Array.from({ length: count }, (_, index) =>
    Uint8Array.from(plain.subarray(index * SEAL_KEY_BYTES, (index + 1) * SEAL_KEY_BYTES)),
  );
}

function wrong(file: string, why: string): TrustplaneError {
  return new TrustplaneError('ERR_KEY_PASSPHRASE', `the key file ${file} ${why}`);
}
