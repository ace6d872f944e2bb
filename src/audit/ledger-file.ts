import { constants } from 'node:fs';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import path from 'node:path';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';

const NAME = /^audit-(\d{16})\.jsonl$/u;
const PRIVATE = 0o600;

/** A file of the ledger, which its name says the first record of. */
export interface FileName {
  readonly name: string;
  readonly sequenceNumber: number;
}

export function fileNameOf(sequenceNumber: number): string {
  return `audit-${String(sequenceNumber).padStart(16, '0')}.jsonl`;
}

/** The oldest first; what is called otherwise is none of the ledger's. @throws TrustplaneError ERR_AUDIT_READ */
export async function listFiles(folder: string): Promise<readonly FileName[]> {
  try {
    const names = await readdir(folder);
    return names.flatMap(parseName).sort((a, b) => a.sequenceNumber - b.sequenceNumber);
  } catch (error) {
    throw new TrustplaneError(
      'ERR_AUDIT_READ',
      `the audit ledger in ${folder} cannot be read: ${messageOf(error)}`,
      { cause: error },
    );
  }
}

function parseName(name: string): FileName[] {
  const [, digits] = NAME.exec(name) ?? [];
  return digits === undefined ? [] : [{ name, sequenceNumber: Number(digits) }];
}

/** The file that is added to. What is appended is on disk when it resolves, or is taken back. */
export interface AppendFile {
  readonly bytes: number;
  append(bytes: Uint8Array): Promise<void>;
  /** Takes back all behind so many bytes. */
  truncate(bytes: number): Promise<void>;
  close(): Promise<void>;
}

/** Opens or makes (0600) a file to add to. */
export type OpenAppendFile = (folder: string, name: string) => Promise<AppendFile>;

export const openAppendFile: OpenAppendFile = async (folder, name) => {
  const { O_RDWR, O_CREAT, O_NOFOLLOW, O_DSYNC } = constants;
  // O_DSYNC: a write is on disk when it returns, as with fdatasync behind it, in one call.
  const flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_DSYNC;
  const handle = await open(path.join(folder, name), flags, PRIVATE);
  return new DiskFile(handle, (await handle.stat()).size);
};

class DiskFile implements AppendFile {
  readonly #handle: FileHandle;
  #bytes: number;
  /** What a failed write may have left behind the end. */
  #isRagged = false;

  constructor(handle: FileHandle, bytes: number) {
    this.#handle = handle;
    this.#bytes = bytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  async append(bytes: Uint8Array): Promise<void> {
    if (this.#isRagged) await this.truncate(this.#bytes);
    this.#isRagged = true;
    try {
      await writeAll(this.#handle, bytes, this.#bytes);
    } catch (error) {
      await this.truncate(this.#bytes).catch(() => {});
      throw error;
    }
    this.#bytes += bytes.length;
    this.#isRagged = false;
  }

  async truncate(bytes: number): Promise<void> {
    await this.#handle.truncate(bytes);
    await this.#handle.datasync();
    this.#bytes = bytes;
    this.#isRagged = false;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const left = bytes.length - written;
    const { bytesWritten } = await handle.write(bytes, written, left, position + written);
    written += bytesWritten;
  }
}
