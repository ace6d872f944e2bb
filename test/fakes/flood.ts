import { once } from 'node:events';
import type { ServerResponse } from 'node:http';

const FLOOD_BYTES = 100 * 2 ** 20;
const CHUNK_BYTES = 1 << 16;

/** A hundred megabytes of one character for who asks, as fast as they are taken. */
export class Flood {
  readonly #chunk: Buffer;
  /** What was sent, in bytes. */
  sent = 0;
  /** Resolves when the one who asked has gone. */
  closed: Promise<unknown> = Promise.resolve();

  constructor(character: string) {
    this.#chunk = Buffer.alloc(CHUNK_BYTES, character);
  }

  answer(response: ServerResponse): true {
    this.closed = once(response, 'close');
    const send = (): void => {
      while (this.sent < FLOOD_BYTES && !response.destroyed) {
        this.sent += this.#chunk.length;
        if (!response.write(this.#chunk)) return void response.once('drain', send);
      }
    };
    send();
    return true;
  }
}
