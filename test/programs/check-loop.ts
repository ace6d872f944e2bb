/** A thread that asks one question after the other until one fails, and counts the answers where others see them. */
import { workerData } from 'node:worker_threads';
import { Client } from '@grpc/grpc-js';
import { CHECK } from '../../src/app/check-methods.ts';
import { dialUnix } from '../../src/wire/index.ts';

const { socket, request, count }: { socket: string; request: Uint8Array; count: Int32Array } =
  workerData;
const { target, credentials, options } = dialUnix(socket);
const client = new Client(target, credentials, options);
ask();

function ask(): void {
  const same = (bytes: Buffer): Buffer => bytes;
  client.makeUnaryRequest(CHECK, same, same, Buffer.from(request), (error) => {
    if (error !== null) return;
    Atomics.add(count, 0, 1);
    Atomics.notify(count, 0);
    ask();
  });
}
