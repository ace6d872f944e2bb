import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createMetrics } from './metrics.ts';
import { serveMetrics } from './metrics-server.ts';

const host = '127.0.0.1';

async function serve(): Promise<number> {
  const metrics = createMetrics();
  metrics.counter('trustplane_test_things_total', 'Things.').inc();
  const server = await serveMetrics({ host, port: 0 }, metrics);
  onTestFinished(() => server.close());
  return server.port;
}

async function openSocket(port: number, text = ''): Promise<Socket> {
  const socket = connect(port, host);
  socket.on('error', () => {});
  socket.resume();
  onTestFinished(() => void socket.destroy());
  await once(socket, 'connect');
  socket.write(text);
  return socket;
}

async function scrape(port: number, path = '/metrics'): Promise<Response> {
  return await fetch(`http://${host}:${port}${path}`);
}

describe('the metrics endpoint', () => {
  it('answers GET /metrics alone', async () => {
    const port = await serve();
    const response = await scrape(port);
    expect(response.headers.get('content-type')).toContain('version=0.0.4');
    expect(await response.text()).toContain('trustplane_test_things_total 1');
    expect((await scrape(port, '/')).status).toBe(404);
  });

  it('answers a scraper while others hold all connections, closing the oldest of them', async () => {
    const port = await serve();
    const held = await Promise.all(Array.from({ length: 64 }, () => openSocket(port, 'GET /')));
    const [oldest] = held;
    const closed = oldest && once(oldest, 'close');
    expect((await scrape(port)).status).toBe(200);
    await closed;
    expect(held.filter(({ destroyed }) => !destroyed).length).toBeGreaterThan(50);
  });

  it.each(['', 'GET /metrics HTTP/1.1\r\n'])(
    'closes a connection that has not asked in time: %j',
    async (text) => {
      const socket = await openSocket(await serve(), text);
      expect(await once(socket, 'close')).toEqual([false]);
    },
  );

  it('closes a connection after its answer', async () => {
    expect((await scrape(await serve())).headers.get('connection')).toBe('close');
    const socket = await openSocket(await serve(), `GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n`);
    expect(await once(socket, 'close')).toEqual([false]);
  });
});
