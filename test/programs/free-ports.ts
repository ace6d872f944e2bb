import { createServer } from 'node:net';

/** Below the range that the kernel takes ports of outgoing connections from. */
const FIRST = 12_000;
const COUNT = 20_000;

/** TCP ports that nothing listens on now, for programs that must know each other's before they start. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = FIRST + Math.trunc(Math.random() * COUNT);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

async function isFree(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const server = createServer();
    server.on('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
