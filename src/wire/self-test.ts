import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type Server, Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { readStartTime } from '../ops/index.ts';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import { descriptorOf } from './connection-gate.ts';
import { type Kernel, linuxKernel } from './libc.ts';
import { ProcessTable } from './process-table.ts';

/** Turns of the event loop that bytes may take on their way through a local socket. */
const MAX_TURNS = 1_000;

/**
 * Shows that the descriptor Node keeps is the accepted connection's, and that the kernel names its
 * peer: this process connects to itself, sends a random number, and must find that very number
 * waiting on the descriptor, and itself as the peer. Takes a few milliseconds; to be called before
 * anything is served.
 * @throws TrustplaneError ERR_PEER_SELF_TEST
 */
export async function selfTestPeerCredentials(kernel: Kernel = linuxKernel): Promise<void> {
  const listener = createServer({ pauseOnConnect: true });
  const sockets: Socket[] = [];
  try {
    await testOn(listener, sockets, kernel);
  } catch (error) {
    const why = messageOf(error);
    throw new TrustplaneError(
      'ERR_PEER_SELF_TEST',
      `the kernel's word on the peers of Unix sockets cannot be had here, so nothing is served: ${why}`,
      { cause: error },
    );
  } finally {
    for (const socket of sockets) socket.destroy();
    listener.close();
  }
}

async function testOn(listener: Server, sockets: Socket[], kernel: Kernel): Promise<void> {
  const nonce = randomBytes(16);
  // A name without a file (unix(7), abstract sockets).
  const path = `\0trustplane-self-test-${nonce.toString('hex')}`;
  listener.listen(path);
  await once(listener, 'listening');
  const connected = once(listener, 'connection');
  const client = connect(path);
  sockets.push(client);
  client.write(nonce);
  const [accepted]: unknown[] = await connected;
  if (!(accepted instanceof Socket)) throw new Error('no connection was accepted');
  sockets.push(accepted);
  const descriptor = descriptorOf(accepted);
  await expectBytes(descriptor, nonce, kernel);
  expectOwnProcess(descriptor, kernel);
}

async function expectBytes(descriptor: number, expected: Buffer, kernel: Kernel): Promise<void> {
  const found = Buffer.alloc(expected.length);
  for (let turn = 0; turn < MAX_TURNS; turn++) {
    if (kernel.peek(descriptor, found) === expected.length) {
      if (found.equals(expected)) return;
      break;
    }
    await nextTurn();
  }
  throw new Error(`descriptor ${descriptor} is not the accepted connection`);
}

function expectOwnProcess(descriptor: number, kernel: Kernel): void {
  const table = new ProcessTable(kernel);
  const key = table.acquire(descriptor);
  const peer = table.get(key);
  const found = [peer?.pid, peer?.uid, peer?.gid, peer?.startTime, peer?.isAlive()];
  table.release(key);
  const { pid } = process;
  const own = [pid, process.geteuid?.(), process.getegid?.(), readStartTime(pid), true];
  if (found.join() === own.join()) return;
  throw new Error(
    `the peer should be (pid, uid, gid, start time, alive) ${own.join()}, and is ${found.join()}`,
  );
}
