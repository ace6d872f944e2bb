import type { MessagePort } from 'node:worker_threads';
import { messageOf } from '../spiffe/index.ts';
import type { LineWriter } from './queued-sink.ts';

interface Sent {
  readonly lines: Uint8Array;
  readonly count: number;
}

const ENDED = 'the other thread has ended';

/** Hands lines to another thread, which has the connection; each batch waits for its answer. */
export class PortWriter implements LineWriter {
  readonly #port: MessagePort;
  #settle: ((fault: string | undefined) => void) | undefined;
  #isClosed = false;

  constructor(port: MessagePort) {
    this.#port = port;
    port.on('message', (fault: string | undefined) => this.#settle?.(fault));
    port.on('close', () => {
      this.#isClosed = true;
      this.#settle?.(ENDED);
    });
    port.unref();
  }

  async append(lines: Buffer, count: number): Promise<void> {
    if (this.#isClosed) throw new Error(ENDED);
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    this.#settle = resolve;
    this.#port.ref();
    const message: Sent = { lines, count };
    this.#port.postMessage(message, []);
    const fault = await promise;
    this.#port.unref();
    if (fault !== undefined) throw new Error(fault);
  }

  async close(): Promise<void> {
    this.#port.close();
  }
}

/** The other end: has `writer` write what comes, until the port is closed. */
export function servePort(port: MessagePort, writer: LineWriter): void {
  port.on('message', ({ lines, count }: Sent) => {
    const bytes = Buffer.from(lines.buffer, lines.byteOffset, lines.byteLength);
    writer.append(bytes, count).then(
      () => port.postMessage(undefined, []),
      (error: unknown) => port.postMessage(messageOf(error), []),
    );
  });
  port.on('close', () => void writer.close());
  port.unref();
}
