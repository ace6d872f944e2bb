import { write } from 'node:fs';
import { promisify } from 'node:util';
import { pause } from '../ops/index.ts';
import type { Clock } from '../spiffe/index.ts';
import type { LineWriter } from './queued-sink.ts';

const STANDARD_OUTPUT = 1;
const RETRY_MS = 10;
const writeTo = promisify(write);

/** Writes to standard output without the streams of the main thread; a pipe that is full is waited for. */
export class StandardOutput implements LineWriter {
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async append(lines: Buffer): Promise<void> {
    for (let at = 0; at < lines.length; ) at += await this.#write(lines.subarray(at));
  }

  async close(): Promise<void> {}

  async #write(bytes: Buffer): Promise<number> {
    try {
      return (await writeTo(STANDARD_OUTPUT, bytes)).bytesWritten;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error;
      await pause(this.#clock, RETRY_MS);
      return 0;
    }
  }
}
