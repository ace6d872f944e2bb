import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { TrustplaneError } from '../../spiffe/index.ts';
import { FairTurns } from './fair-turns.ts';

const READ_BYTES = 256 * 1024;
const MAX_CACHED = 1_000;
/** A file that changed less than this before it was read may change again under the same time stamps. */
const SETTLED_NS = 2_000_000_000n;

interface FileStats {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

/**
 * SHA-256 of running programs. A digest is kept for as long as the file has the same device, inode,
 * size and times; a file that is asked for twice at once is read once. Reading is done by the thread
 * pool in pieces, so that other work goes on.
 */
export class ExecutableDigests {
  readonly #maxBytes: number;
  readonly #now: () => number;
  readonly #cached = new Map<string, string>();
  readonly #reading = new Map<string, Promise<string | undefined>>();
  /** Others need the thread pool, the disk and this thread too. */
  readonly #turns = new FairTurns({ max: 2, maxWaitingPerUser: 16 });

  /** @param maxBytes longer files have no digest */
  constructor(maxBytes: number, now: () => number) {
    this.#maxBytes = maxBytes;
    this.#now = now;
  }

  /** Whether the digest of a file is known, and need not be made. */
  knows(stats: FileStats): boolean {
    return this.#cached.has(keyOf(stats));
  }

  /** Lower-case hexadecimal; undefined for a file that is too long, or when too many of the user wait. */
  async read(file: FileHandle, stats: FileStats, uid: number): Promise<string | undefined> {
    if (stats.size > BigInt(this.#maxBytes)) return undefined;
    const key = keyOf(stats);
    const known = this.#cached.get(key) ?? this.#reading.get(key);
    if (known !== undefined) return known;
    const reading = this.#turns
      .run(uid, () => this.#readWhole(file, stats, key))
      .finally(() => this.#reading.delete(key));
    this.#reading.set(key, reading);
    return reading;
  }

  async #readWhole(file: FileHandle, stats: FileStats, key: string): Promise<string> {
    const hash = createHash('sha256');
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    for (let position = 0; ; ) {
      const { bytesRead } = await file.read(buffer, 0, READ_BYTES, position);
      if (bytesRead === 0) break;
      position += bytesRead;
      if (position > this.#maxBytes) throw grew(this.#maxBytes);
      hash.update(buffer.subarray(0, bytesRead));
    }
    const digest = hash.digest('hex');
    if (await this.#isSettled(file, stats)) this.#keep(key, digest);
    return digest;
  }

  /** Unchanged while it was read, and old enough that its times tell the next change. */
  async #isSettled(file: FileHandle, before: FileStats): Promise<boolean> {
    const after = await file.stat({ bigint: true });
    const changedNs = after.ctimeNs > after.mtimeNs ? after.ctimeNs : after.mtimeNs;
    return (
      after.size === before.size &&
      after.mtimeNs === before.mtimeNs &&
      after.ctimeNs === before.ctimeNs &&
      BigInt(this.#now()) * 1_000_000n - changedNs > SETTLED_NS
    );
  }

  #keep(key: string, digest: string): void {
    const [oldest] = this.#cached.keys();
    if (this.#cached.size >= MAX_CACHED && oldest !== undefined) this.#cached.delete(oldest);
    this.#cached.set(key, digest);
  }
}

function keyOf({ dev, ino, size, mtimeNs, ctimeNs }: FileStats): string {
  return `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`;
}

function grew(maxBytes: number): TrustplaneError {
  return new TrustplaneError('ERR_ATTEST_EXECUTABLE', `the file grew beyond ${maxBytes} bytes`);
}
