import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { Worker } from 'node:worker_threads';
import { percentile } from './measurement.ts';

/**
 * Callers of an Envoy and the application behind it, in a process of their own: `mesh-load.ts FOLDER
 * APPLICATION_SOCKET`, where the folder has svid.pem, key.pem and bundle.pem; orders as messages.
 */
export interface MeshOrder {
  /** Where the Envoy takes mTLS. */
  readonly socket: string;
  readonly requests: number;
  /** Offered, at even distances. */
  readonly perSecond: number;
  /** So many different ones are asked for, of `/v1/items/N/state`. */
  readonly paths: number;
}
export interface MeshReport {
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Answers that were not 200. */
  readonly failed: number;
}

const CONNECTIONS = 16;
/** Without a factor in common with counts of paths. */
const STRIDE = 7919;
const END_OF_HEAD = '\r\n\r\n';
const ANSWER = Buffer.from('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
/** Says when the next is due; timers of the main thread are too coarse, and asking the time all along takes a processor. */
const PACER = `
const { parentPort, workerData: { requests, perSecond } } = require('node:worker_threads');
const cell = new Int32Array(new SharedArrayBuffer(4));
const began = performance.timeOrigin + performance.now();
for (let count = 0; count < requests; count++) {
  const due = began + (count * 1000) / perSecond;
  const left = due - performance.timeOrigin - performance.now();
  if (left > 0) Atomics.wait(cell, 0, 0, left);
  parentPort.postMessage(due);
}`;

const [folder = '', application = ''] = process.argv.slice(2);
process.on('disconnect', () => process.exit());
const credentials = {
  cert: readFileSync(path.join(folder, 'svid.pem')),
  key: readFileSync(path.join(folder, 'key.pem')),
  ca: readFileSync(path.join(folder, 'bundle.pem')),
  ALPNProtocols: ['http/1.1'],
  // An SVID has no host name; which authority signed it is verified.
  checkServerIdentity: () => undefined,
};
const callersOf = new Map<string, Promise<readonly Caller[]>>();

await once(createServer((socket) => answerAll(socket)).listen(application), 'listening');
process.on('message', (order: MeshOrder) => {
  void offer(order).then((report) => process.send?.(report));
});
process.send?.('ready');

function answerAll(socket: NodeJS.ReadWriteStream): void {
  // Envoy sends a request on a connection after the answer to the one before; none has a body.
  socket.on('data', (chunk: Buffer) => {
    if (chunk.includes(END_OF_HEAD)) socket.write(ANSWER);
  });
  socket.on('error', () => {});
}

async function offer({ socket, requests, perSecond, paths }: MeshOrder): Promise<MeshReport> {
  const opening = callersOf.get(socket) ?? openCallers(socket);
  callersOf.set(socket, opening);
  const free = [...(await opening)];
  const waiting: number[] = [];
  const times: number[] = [];
  let failed = 0;
  let begun = 0;
  const done = Promise.withResolvers<void>();
  const askNext = (): void => {
    for (let caller = free.pop(); caller !== undefined; caller = free.pop()) {
      const due = waiting.shift();
      if (due === undefined) return void free.push(caller);
      const by = caller;
      by.ask(`/v1/items/${(begun++ * STRIDE) % paths}/state`, (isGood) => {
        // Each is timed from when it was due: whoever is late is late for all that wait.
        times.push(performance.timeOrigin + performance.now() - due);
        if (!isGood) failed++;
        free.push(by);
        if (times.length === requests) done.resolve();
        else askNext();
      });
    }
  };
  const pacer = new Worker(PACER, { eval: true, workerData: { requests, perSecond } });
  pacer.on('message', (due: number) => {
    waiting.push(due);
    askNext();
  });
  await done.promise;
  return { p50Ms: percentile(times, 50), p99Ms: percentile(times, 99), failed };
}

async function openCallers(socket: string): Promise<readonly Caller[]> {
  return await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      const connection = connect({ ...credentials, path: socket });
      await once(connection, 'secureConnect');
      return new Caller(connection);
    }),
  );
}

/** One connection that is kept, with one request at a time on it. */
class Caller {
  readonly #connection: TLSSocket;
  #answer = '';
  #onAnswer: (isGood: boolean) => void = () => {};

  constructor(connection: TLSSocket) {
    this.#connection = connection;
    connection.setNoDelay().setEncoding('latin1');
    connection.on('data', (text: string) => this.#take(text));
    connection.on('close', () => {
      throw new Error('a connection was closed');
    });
  }

  ask(target: string, onAnswer: (isGood: boolean) => void): void {
    this.#onAnswer = onAnswer;
    this.#connection.write(
      `GET ${target} HTTP/1.1\r\nhost: api.example\r\naccept: */*\r\nuser-agent: bench/1.0\r\n\r\n`,
    );
  }

  #take(text: string): void {
    this.#answer += text;
    const at = this.#answer.indexOf(END_OF_HEAD);
    if (at === -1) return;
    const length = Number(/^content-length: (\d+)\r$/imu.exec(this.#answer)?.[1] ?? 0);
    if (this.#answer.length < at + END_OF_HEAD.length + length) return;
    const isGood = this.#answer.startsWith('HTTP/1.1 200');
    this.#answer = '';
    this.#onAnswer(isGood);
  }
}
