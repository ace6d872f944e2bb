import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { createMetrics } from './metrics.ts';
import { serveMetrics } from './metrics-server.ts';
import { Readiness } from './readiness.ts';

const host = '127.0.0.1';

async function serve(readiness = new Readiness(new FakeClock())): Promise<number> {
  const metrics = createMetrics();
  metrics.counter('trustplane_test_things_total', 'Things.').inc();
  const server = await serveMetrics({ host, port: 0 }, metrics, readiness);
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

  it('shows what others have to show, as it is then', async () => {
    const pages = new Map<string, () => string>();
    const readiness = new Readiness(new FakeClock());
    const server = await serveMetrics({ host, port: 0 }, createMetrics(), readiness, pages);
    onTestFinished(() => server.close());
    expect((await scrape(server.port, '/x.json')).status).toBe(404);
    pages.set('/x.json', () => '{"keys":[]}');
    const response = await scrape(server.port, '/x.json?a=b');
    expect(response.headers.get('content-type')).toBe('application/json');
    expect(await response.json()).toEqual({ keys: [] });
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

describe('health over HTTP', () => {
  const FAULT = 'no authority can sign now';

  it('is ready while it serves and no required part is at fault, and names those that are', async () => {
    const readiness = new Readiness(new FakeClock());
    let fault: string | undefined;
    readiness.require('ca', () => fault);
    readiness.observe('rotation', () => 'it fails');
    const port = await serve(readiness);
    const ask = async () => {
      const answer = await scrape(port, '/ready?verbose');
      return [answer.status, await answer.json()];
    };
    const checks = ['process', 'ca', 'rotation'];
    const rotation = { name: 'rotation', fault: 'it fails', required: false };
    const process = (phase: string) => ({ name: 'process', fault: phase, required: true });
    expect(await ask()).toEqual([
      503,
      { ready: false, checks, failing: [process('it is starting'), rotation] },
    ]);
    readiness.start();
    expect(await ask()).toEqual([200, { ready: true, checks, failing: [rotation] }]);
    fault = FAULT;
    const ca = { name: 'ca', fault: FAULT, required: true };
    expect(await ask()).toEqual([503, { ready: false, checks, failing: [ca, rotation] }]);
    fault = undefined;
    readiness.stop();
    expect(await ask()).toMatchObject([503, { failing: [process('it is stopping'), rotation] }]);
  });

  it('is live as long as it answers', async () => {
    const answer = await scrape(await serve(), '/live');
    expect([answer.status, await answer.json()]).toEqual([200, { live: true }]);
  });
});
