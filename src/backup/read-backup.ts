import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { Fact } from '../journal/index.ts';
import { messageOf, type TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import type { BucketName, StoreSnapshot } from '../store/index.ts';
import { type BackupHead, type BackupLine, parseHead, parseLine } from './backup-line.ts';
import type { SealedKeys } from './write-backup.ts';

/** No line is longer: a value has at most 1,000,000 bytes. */
const MAX_LINE_BYTES = 2_097_152;
const FEED = 0x0a;

/** A backup that was read whole and is what was written. */
export interface Backup extends BackupHead {
  /** Records in order of their keys. */
  readonly buckets: ReadonlyMap<BucketName, StoreSnapshot>;
  /** What the journal knew besides. */
  readonly facts: readonly Fact[];
  /** Undefined: without private keys. */
  readonly keys: SealedKeys | undefined;
}

/**
 * Reads a backup of the trust domain.
 * @throws TrustplaneError ERR_BACKUP_FILE, ERR_BACKUP_DAMAGED, ERR_BACKUP_TRUST_DOMAIN
 */
export async function readBackup(file: string, trustDomain: TrustDomain): Promise<Backup> {
  const backup = await parseBackup(file);
  if (backup.trustDomain === trustDomain.name) return backup;
  throw new TrustplaneError(
    'ERR_BACKUP_TRUST_DOMAIN',
    `the backup ${file} is of the trust domain ${backup.trustDomain}, not of ${trustDomain.name}`,
  );
}

/** The same of any trust domain. @throws TrustplaneError ERR_BACKUP_FILE, ERR_BACKUP_DAMAGED */
export async function parseBackup(file: string): Promise<Backup> {
  const checksum = createHash('sha256');
  let reader: BackupReader | undefined;
  let isOver = false;
  for await (const line of linesOf(file)) {
    if (isOver) throw damaged(file, 'goes on behind its end');
    const text = line.toString('utf8', 0, line.length - 1);
    try {
      if (reader === undefined) reader = new BackupReader(parseHead(text));
      else isOver = reader.take(parseLine(text), () => checksum.digest('hex'));
    } catch (error) {
      throw damaged(file, `has a line that is malformed: ${messageOf(error)}`, error);
    }
    if (!isOver) checksum.update(line);
  }
  if (reader === undefined || !isOver) throw damaged(file, 'has no end: it was cut off');
  return reader.backup;
}

class BackupReader {
  readonly #head: BackupHead;
  readonly #buckets = new Map<
    BucketName,
    { records: StoreSnapshot['records'][number][]; revision: number }
  >();
  readonly #facts: Fact[] = [];
  readonly #files = new Map<string, Uint8Array>();
  #sealKey: Uint8Array | undefined;
  #lines = 1;
  #records: StoreSnapshot['records'][number][] | undefined;

  constructor(head: BackupHead) {
    this.#head = head;
  }

  get backup(): Backup {
    const keys = this.#sealKey && { sealKey: this.#sealKey, files: this.#files };
    return { ...this.#head, buckets: this.#buckets, facts: this.#facts, keys };
  }

  /** True when it was the last line, and what it says of the others is so. @throws Error */
  take(line: BackupLine, checksum: () => string): boolean {
    if ('lines' in line) {
      if (line.lines === this.#lines && line.sha256 === checksum()) return true;
      throw new Error('its checksum is another than that of what stands before it');
    }
    this.#lines++;
    if ('k' in line) {
      if (this.#records === undefined) throw new Error('a record of no bucket');
      this.#records.push({ key: line.k, revision: line.r, value: bytesOf(line.v) });
    } else if ('bucket' in line) {
      if (this.#buckets.has(line.bucket)) throw new Error(`the bucket ${line.bucket} twice`);
      this.#records = [];
      this.#buckets.set(line.bucket, { records: this.#records, revision: line.revision });
    } else if ('fact' in line) {
      const { fact: key, b: bucket, e: era, r: revision, x: expiresAt, v } = line;
      const value = v === undefined ? undefined : bytesOf(v);
      this.#facts.push({ bucket, key, era, revision, expiresAt, value });
    } else if ('sealKey' in line) this.#sealKey = bytesOf(line.sealKey);
    else this.#files.set(line.key, bytesOf(line.v));
    return false;
  }
}

/** With their line feeds. */
async function* linesOf(file: string): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of chunksOf(file)) {
    let from = 0;
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (let feed = bytes.indexOf(FEED); feed !== -1; feed = bytes.indexOf(FEED, from)) {
      yield bytes.subarray(from, feed + 1);
      from = feed + 1;
    }
    rest = bytes.subarray(from);
    if (rest.length > MAX_LINE_BYTES) throw damaged(file, 'has a line that is too long');
  }
  if (rest.length > 0) throw damaged(file, 'has no end: it was cut off');
}

async function* chunksOf(file: string): AsyncGenerator<Buffer> {
  try {
    await using handle = await open(file, 'r');
    for (;;) {
      const { bytesRead, buffer } = await handle.read(Buffer.alloc(1_048_576), 0, 1_048_576);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } catch (error) {
    if (error instanceof TrustplaneError) throw error;
    const message = `the backup ${file} cannot be read: ${messageOf(error)}`;
    throw new TrustplaneError('ERR_BACKUP_FILE', message, { cause: error });
  }
}

function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64'));
}

function damaged(file: string, why: string, cause?: unknown): TrustplaneError {
  return new TrustplaneError('ERR_BACKUP_DAMAGED', `the backup ${file} ${why}; use another one`, {
    cause,
  });
}
