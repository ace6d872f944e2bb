import { createConnection } from 'node:net';
import { setTimeout } from 'node:timers/promises';

const RETRY_MS = 2;
const DEADLINE_MS = 30_000;

/** Resolves as soon as something accepts connections at the Unix socket. */
export async function waitForSocket(path: string): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS;
  while (!(await accepts(path))) {
    if (Date.now() > deadline) throw new Error(`nothing listens at ${path}`);
    await setTimeout(RETRY_MS);
  }
}

function accepts(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
