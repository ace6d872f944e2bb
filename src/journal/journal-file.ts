import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { readFileBounded, writeFileAtomic } from '../ops/index.ts';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import type { LinePlace } from './fact-index.ts';
import { bodyOffset, buildFrame, damaged, type Frame, readFrames } from './journal-frame.ts';

const PRIVATE = 0o600;
const MAX_FILE_BYTES = 1_073_741_824;

/** The bytes of a journal: whole frames, each on disk before its write resolves. One write at a time. */
export class JournalFile {
  readonly path: string;
  readonly #handle: FileHandle;
  #bytes: number;
  /** What a failed write may have left behind the last frame. */
  #isRagged = false;

  private constructor(path: string, handle: FileHandle, bytes: number) {
    this.path = path;
    this.#handle = handle;
    this.#bytes = bytes;
  }

  /**
   * Opens the file and hands on its frames; undefined when there is none. What a crash left of a last frame
   * is cut off.
   * @throws TrustplaneError ERR_JOURNAL_DAMAGED, ERR_FILE_*; then nothing is changed
   */
  static async open(
    path: string,
    take: (frame: Frame) => void,
    onCut: (bytes: number) => void = () => {},
  ): Promise<JournalFile | undefined> {
    const bytes = await readFileBounded(path, MAX_FILE_BYTES);
    if (bytes === undefined) return undefined;
    const end = readFrames(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), path, take);
    if (end === 0) throw damaged(path, 'has no beginning');
    const file = await JournalFile.#reopen(path, end);
    if (end === bytes.length) return file;
    file.#isRagged = true;
    await file.#trim();
    onCut(bytes.length - end);
    return file;
  }

  /** Puts a file of these bodies in the place of any at `path`, all or nothing. @throws TrustplaneError ERR_FILE_WRITE */
  static async create(path: string, bodies: readonly Uint8Array[]): Promise<JournalFile> {
    const bytes = Buffer.concat(bodies.map(buildFrame));
    await writeFileAtomic(path, bytes, { mode: PRIVATE });
    return await JournalFile.#reopen(path, bytes.length);
  }

  static async #reopen(path: string, bytes: number): Promise<JournalFile> {
    const handle = await open(path, constants.O_RDWR | constants.O_NOFOLLOW);
    return new JournalFile(path, handle, bytes);
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Resolves when the frame is on disk, with where its body begins.
   * @throws TrustplaneError ERR_JOURNAL_WRITE; then it is not there
   */
  async append(body: Uint8Array): Promise<number> {
    const frame = buildFrame(body);
    try {
      if (this.#isRagged) await this.#trim();
      this.#isRagged = true;
      await writeAll(this.#handle, frame, this.#bytes);
      await this.#handle.datasync();
    } catch (error) {
      await this.#trim().catch(() => {});
      throw writeError(this.path, error);
    }
    this.#isRagged = false;
    const begin = bodyOffset(this.#bytes);
    this.#bytes += frame.length;
    return begin;
  }

  /** @throws TrustplaneError ERR_JOURNAL_DAMAGED */
  async read({ offset, bytes }: LinePlace): Promise<Buffer> {
    const line = Buffer.alloc(bytes);
    const { bytesRead } = await this.#handle.read(line, 0, bytes, offset);
    if (bytesRead === bytes) return line;
    throw damaged(this.path, 'is shorter than what was written');
  }

  /** All of it. */
  async readAll(): Promise<Buffer> {
    return await this.read({ offset: 0, bytes: this.#bytes });
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  async #trim(): Promise<void> {
    await this.#handle.truncate(this.#bytes);
    await this.#handle.datasync();
    this.#isRagged = false;
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const left = bytes.length - written;
    const { bytesWritten } = await handle.write(bytes, written, left, position + written);
    written += bytesWritten;
  }
}

function writeError(path: string, error: unknown): TrustplaneError {
  return new TrustplaneError(
    'ERR_JOURNAL_WRITE',
    `the journal ${path} cannot be written: ${messageOf(error)}; free some room on its disk, or make it writable`,
    { cause: error },
  );
}
