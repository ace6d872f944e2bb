/** The writing half of a stream. `done` is called once the transport has taken the message. */
export interface MessageSink {
  write(message: Buffer, done: () => void): unknown;
}

interface Offer {
  readonly message: Buffer;
  readonly onTaken: () => void;
}

/**
 * Writes full-state messages to one stream: one at a time, of those that wait only the latest, and
 * none that equals the one before. So a slow reader costs at most two messages of memory.
 */
export class LatestWriter {
  readonly #sink: MessageSink;
  #last: Buffer | undefined;
  #waiting: Offer | undefined;
  #isWriting = false;

  constructor(sink: MessageSink) {
    this.#sink = sink;
  }

  /** `onTaken` is called once the transport has the message, or has one that equals it. */
  offer(message: Buffer, onTaken: () => void = () => {}): void {
    this.#waiting = { message, onTaken };
    this.#next();
  }

  /** Drops what waits. */
  clear(): void {
    this.#waiting = undefined;
  }

  #next(): void {
    if (this.#waiting === undefined || this.#isWriting) return;
    const { message, onTaken } = this.#waiting;
    this.#waiting = undefined;
    if (this.#last === message || this.#last?.equals(message)) return onTaken();
    this.#last = message;
    this.#isWriting = true;
    this.#sink.write(message, () => {
      this.#isWriting = false;
      onTaken();
      this.#next();
    });
  }
}
