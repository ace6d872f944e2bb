import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { openFleet } from '../../test/fakes/open-fleet.ts';
import { until } from '../../test/fakes/unix-place.ts';
import { silentLog } from '../ops/index.ts';
import { SpiffeId, TrustplaneError } from '../spiffe/index.ts';
import type { ServerLink } from './server-link.ts';
import { ServerPool } from './server-pool.ts';

type Fleet = Awaited<ReturnType<typeof openFleet>>;

/** `random` 0 keeps the order. */
function poolOf(fleet: Fleet, ports: readonly number[]): ServerPool {
  const pool = new ServerPool({
    servers: ports.map((port) => ({ host: '127.0.0.1', port })),
    identity: () => undefined,
    trust: {
      serverId: SpiffeId.parse('spiffe://a.test/spire/server'),
      bundle: () => fleet.trustMap.current().own,
    },
    clock: fleet.clock,
    random: () => 0,
    log: silentLog,
  });
  onTestFinished(() => pool.close());
  return pool;
}

const ask = (link: ServerLink): Promise<string> =>
  link.call('Bundle.GetBundle', {}).then(() => link.name);
const nameOf = ({ port }: { readonly port: number }): string => `127.0.0.1:${port}`;

/** Takes connections and says nothing. */
async function blackHole(): Promise<number> {
  const server = createServer(() => {});
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => void server.close());
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

it('keeps a server that answers, takes another when it fails, and keeps that', async () => {
  const one = await openFleet();
  const two = await one.listenToo();
  const pool = poolOf(one, [one.port, two.port]);
  expect(await pool.use(ask)).toBe(nameOf(one));
  expect(await pool.use(ask)).toBe(nameOf(one));
  await one.stop();
  expect(await pool.use(ask)).toBe(nameOf(two));
  await one.restart();
  expect(await pool.use(ask)).toBe(nameOf(two));
  expect(pool.current).toBe(nameOf(two));
});

it('does not wait for a server that is silent', async () => {
  const fleet = await openFleet();
  const pool = poolOf(fleet, [await blackHole(), fleet.port]);
  const found = pool.use(ask);
  let isFound = false;
  const note = (): boolean => (isFound = true);
  void found.then(note, note);
  await until(() => {
    fleet.clock.advance(10);
    return isFound;
  });
  expect(await found).toBe(nameOf(fleet));
});

it('asks no other server when one has answered with a refusal', async () => {
  const fleet = await openFleet();
  const other = await fleet.listenToo();
  const pool = poolOf(fleet, [fleet.port, other.port]);
  const asked: string[] = [];
  const refused = pool.use(async (link) => {
    asked.push(link.name);
    throw new TrustplaneError('ERR_AGENT_BANNED', 'no');
  });
  await expect(refused).rejects.toMatchObject({ code: 'ERR_AGENT_BANNED' });
  expect(asked).toEqual([nameOf(fleet)]);
});

it('says why, when all servers fail', async () => {
  const fleet = await openFleet();
  await fleet.stop();
  const pool = poolOf(fleet, [fleet.port, 1]);
  await expect(pool.use(ask)).rejects.toMatchObject({ code: 'ERR_NODE_UNREACHABLE' });
});
