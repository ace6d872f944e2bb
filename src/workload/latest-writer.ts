/** The writing half of a stream. `done` is called once the transport has taken the message. */
export interface MessageSink {
  write(message: Buffer, done: () => void): unknown;
}

/**
 * Writes full-state messages to one stream: one at a time, of those that wait only the latest, and
 * none that equals the one before. So a slow reader costs at most two messages of memory.
 */
export class LatestWriter {
  readonly #sink: MessageSink;
  #last: Buffer | undefined;
  #waiting: Buffer | undefined;
  #isWriting = false;

  constructor(sink: MessageSink) {
    this.#sink = sink;
  }

  offer(message: Buffer): void {
    this.#waiting = message;
    this.#next();
  }

  /** Drops what waits. */
  clear(): void {
    this.#waiting = undefined;
  }

  #next(): void {
    const message = this.#waiting;
    if (message === undefined || this.#isWriting) return;
    this.#waiting = undefined;
    if (this.#last === message || this.#last?.equals(message)) return;
    this.#last = message;
    this.#isWriting = true;
    this.#sink.write(message, () => {
      this.#isWriting = false;
      this.#next();
    });
  }
}
