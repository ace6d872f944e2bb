import type { DecisionSink } from './decision-log.ts';

/** Takes lines one batch after the other; what it rejects is lost. */
export interface LineWriter {
  append(lines: Buffer, count: number): Promise<void>;
  close(): Promise<void>;
}

export interface QueuedSinkOptions {
  /** Of lines that wait, the ones that are being written among them. */
  readonly maxBytes: number;
  readonly onWritten: (lines: number) => void;
  /** Lines that are lost: the queue was full, or the writer failed with `cause`. */
  readonly onDropped: (lines: number, cause: unknown) => void;
}

interface Batch {
  readonly lines: Buffer;
  readonly count: number;
}

/** A sink whose writer may be slow: lines beyond its bound are dropped and counted. */
export class QueuedSink implements DecisionSink {
  readonly #writer: LineWriter;
  readonly #options: QueuedSinkOptions;
  readonly #waiting: Batch[] = [];
  #bytes = 0;
  #writing: Promise<void> | undefined;

  constructor(writer: LineWriter, options: QueuedSinkOptions) {
    this.#writer = writer;
    this.#options = options;
  }

  write(lines: Buffer, count: number): void {
    if (this.#bytes + lines.length > this.#options.maxBytes) {
      this.#options.onDropped(count, undefined);
      return;
    }
    this.#bytes += lines.length;
    this.#waiting.push({ lines, count });
    this.#writing ??= this.#drain();
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#writer.close();
  }

  /** Never rejects. */
  async #drain(): Promise<void> {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      await this.#append(next);
      this.#bytes -= next.lines.length;
    }
    this.#writing = undefined;
  }

  async #append({ lines, count }: Batch): Promise<void> {
    try {
      await this.#writer.append(lines, count);
      this.#options.onWritten(count);
    } catch (cause) {
      this.#options.onDropped(count, cause);
    }
  }
}
