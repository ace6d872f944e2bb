import type { Readable } from 'node:stream';
import { TrustplaneError } from '../spiffe/index.ts';

/** Takes the messages of a caller's stream one at a time; what has not been asked for waits with the caller. */
export class MessageReader<Message> {
  readonly #stream: Readable;
  #waiting: PromiseWithResolvers<Message | undefined> | undefined;
  #hasEnded = false;
  #failure: TrustplaneError | undefined;

  constructor(stream: Readable) {
    this.#stream = stream;
    stream.pause();
    stream.on('data', (message: Message) => {
      stream.pause();
      this.#take()?.resolve(message);
    });
    stream.on('end', () => {
      this.#hasEnded = true;
      this.#take()?.resolve(undefined);
    });
    stream.on('cancelled', () =>
      this.fail(new TrustplaneError('ERR_API_STREAM_ENDED', 'the caller left its stream')),
    );
  }

  /** The next message; undefined when the caller has sent its last. Not to be called while it waits. @throws what `fail` was given */
  async next(): Promise<Message | undefined> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#hasEnded) return undefined;
    this.#waiting = Promise.withResolvers();
    this.#stream.resume();
    return await this.#waiting.promise;
  }

  /** Nothing is read any more. */
  fail(error: TrustplaneError): void {
    this.#failure ??= error;
    this.#take()?.reject(this.#failure);
  }

  #take(): PromiseWithResolvers<Message | undefined> | undefined {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    return waiting;
  }
}
