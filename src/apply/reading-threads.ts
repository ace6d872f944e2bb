import { Worker } from 'node:worker_threads';
import type { ReadPart } from './read-part.ts';
import type { DocumentPart } from './split-documents.ts';

const suffix = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
const file = new URL(`./document-worker${suffix}`, import.meta.url);

/** A thread, and who waits for its answers, in the order they were asked. */
interface Reader {
  readonly worker: Worker;
  readonly waiting: PromiseWithResolvers<readonly ReadPart[]>[];
}

/** Threads that read documents side by side. */
export class ReadingThreads {
  readonly #readers: readonly Reader[];
  #failure: Error | undefined;

  constructor(count: number) {
    this.#readers = Array.from({ length: count }, () => this.#start());
  }

  /** By the thread that has least to do. @throws Error when a thread ended */
  async read(parts: readonly DocumentPart[]): Promise<readonly ReadPart[]> {
    if (this.#failure !== undefined) throw this.#failure;
    const [idlest] = this.#readers.toSorted((a, b) => a.waiting.length - b.waiting.length);
    if (idlest === undefined) throw new Error('expected at least one thread');
    const answer = Promise.withResolvers<readonly ReadPart[]>();
    idlest.waiting.push(answer);
    idlest.worker.postMessage(parts, []);
    return await answer.promise;
  }

  async close(): Promise<void> {
    await Promise.all(this.#readers.map(({ worker }) => worker.terminate()));
  }

  #start(): Reader {
    const reader: Reader = { worker: new Worker(file, { execArgv: [] }), waiting: [] };
    reader.worker.on('message', (read: readonly ReadPart[]) =>
      reader.waiting.shift()?.resolve(read),
    );
    reader.worker.on('error', (error) => this.#fail(error));
    return reader;
  }

  #fail(error: unknown): void {
    this.#failure = new Error('a thread that reads documents ended', { cause: error });
    for (const { waiting } of this.#readers)
      for (const one of waiting.splice(0)) one.reject(this.#failure);
  }
}
