import { constants } from 'node:fs';
import { type FileHandle, open, rename, stat } from 'node:fs/promises';
import type { LineWriter } from './queued-sink.ts';

export interface LineFileOptions {
  readonly path: string;
  /** A file that would grow beyond it is renamed to `path.1`, that one to `path.2` and so on; 0: never. */
  readonly maxBytes: number;
  /** Renamed files that are kept, one at least. */
  readonly keep: number;
}

const MODE = 0o640;
/** A FIFO that nobody reads is an error, and not waited for, which nothing could end. */
const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK;
const END_OF_LINE = Buffer.from('\n');

/**
 * Appends to a file. One that was renamed or removed is made anew, before the next batch, so that
 * whatever rotates logs needs no signal.
 */
export class LineFile implements LineWriter {
  readonly #options: LineFileOptions;
  #file: FileHandle | undefined;
  #size = 0;
  /** The last batch broke off, maybe inside a line. */
  #isTorn = false;

  constructor(options: LineFileOptions) {
    this.#options = options;
  }

  async append(lines: Buffer): Promise<void> {
    const { maxBytes } = this.#options;
    let file = await this.#present();
    if (maxBytes > 0 && this.#size > 0 && this.#size + lines.length > maxBytes) {
      await this.#rotate();
      file = await this.#present();
    }
    const whole = this.#isTorn ? Buffer.concat([END_OF_LINE, lines]) : lines;
    this.#isTorn = true;
    await writeAll(file, whole);
    this.#isTorn = false;
    this.#size += whole.length;
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  async #present(): Promise<FileHandle> {
    const { path } = this.#options;
    if (this.#file !== undefined) {
      const open = await this.#file.stat();
      const named = await stat(path).catch(() => undefined);
      if (named?.ino === open.ino && named.dev === open.dev) return this.#file;
      await this.close();
    }
    this.#file = await open(path, FLAGS, MODE);
    this.#size = (await this.#file.stat()).size;
    this.#isTorn &&= this.#size > 0;
    return this.#file;
  }

  async #rotate(): Promise<void> {
    const { path, keep } = this.#options;
    await this.close();
    for (let n = keep - 1; n >= 0; n--) {
      const from = n === 0 ? path : `${path}.${n}`;
      await rename(from, `${path}.${n + 1}`).catch((error: unknown) => {
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
      });
    }
  }
}

async function writeAll(file: FileHandle, lines: Buffer): Promise<void> {
  for (let at = 0; at < lines.length; ) at += (await file.write(lines, at)).bytesWritten;
}
