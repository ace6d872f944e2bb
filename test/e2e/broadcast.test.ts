import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { eventually } from '../programs/eventually.ts';
import { freePorts } from '../programs/free-ports.ts';
import { launchNatsServer, type NatsServer } from '../programs/launch-nats-server.ts';
import { type LaunchedServer, launchServer } from '../programs/launch-server.ts';
import { runTrustplane } from '../programs/launch-trustplane.ts';
import { createRunFolder } from '../programs/run-folder.ts';

/** By default no bundle endpoint answers: what comes, comes over NATS. */
async function server(
  own: string,
  peer: string,
  { url }: Pick<NatsServer, 'url'>,
  ports: { readonly own?: number; readonly peer?: number } = {},
): Promise<LaunchedServer> {
  const folder = createRunFolder();
  onTestFinished(() => folder.remove());
  const config = `
trustDomain: ${own}
federation:
  ${ports.own === undefined ? '' : `bundleEndpoint: { address: '127.0.0.1:${ports.own}' }`}
  nats:
    servers: ['${url}']
  relationships:
    - trustDomain: ${peer}
      bundleEndpointUrl: https://127.0.0.1:${ports.peer ?? 1}/
      bundleEndpointProfile: https_spiffe
      endpointSpiffeId: spiffe://${peer}/spire/server
      awaitAck: true
`;
  const launched = await launchServer(folder.path, { config });
  onTestFinished(async () => void (await launched.stop()));
  return launched;
}

/** Gives one the other's bundle as it is now, as an administrator would. */
async function introduce(name: string, of: LaunchedServer, to: LaunchedServer): Promise<void> {
  const show = ['bundle', 'show', '--format', 'spiffe', '--admin-socket', of.adminSocket];
  const { stdout } = await runTrustplane(...show);
  const file = path.join(path.dirname(to.adminSocket), `${name}.json`);
  writeFileSync(file, stdout);
  await to.ask('bundle', 'set', '--id', name, '--format', 'spiffe', '--path', file);
}

async function keysOf(name: string, at: LaunchedServer): Promise<number> {
  const show = ['bundle', 'list', '--id', name, '--format', 'spiffe'];
  const { stdout } = await runTrustplane(...show, '--admin-socket', at.adminSocket);
  return stdout.split('"x509-svid"').length - 1;
}

it('a rotated authority is at the peer before it signs, and not without the peer (FED-21)', async () => {
  const nats = await launchNatsServer({ jetStream: true });
  onTestFinished(() => nats[Symbol.asyncDispose]());
  const a = await server('a.test', 'b.test', nats);
  const b = await server('b.test', 'a.test', nats);
  await introduce('a.test', a, b);
  await introduce('b.test', b, a);

  const { authorityId } = await a.ask('authority', 'x509', 'prepare');
  const active = await a.ask('authority', 'x509', 'activate', authorityId, '--wait', '30s');
  expect(active).toMatchObject({ state: 'active' });
  expect(await keysOf('a.test', b)).toBe(2);
  const { lastHeardAt } = await b.ask('federation', 'show', 'a.test');
  expect(Date.parse(lastHeardAt)).toBeGreaterThan(Date.now() - 60_000);

  await b.stop();
  const next = await a.ask('authority', 'x509', 'prepare');
  const activate = ['authority', 'x509', 'activate', next.authorityId];
  const refused = await runTrustplane(...activate, '--admin-socket', a.adminSocket);
  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toContain('the trust domain b.test');
});

it('what a peer rotated while NATS was down comes when it is back (FED-21)', async () => {
  const nats = await launchNatsServer({ jetStream: true });
  onTestFinished(() => nats[Symbol.asyncDispose]());
  const a = await server('a.test', 'b.test', nats);
  const b = await server('b.test', 'a.test', nats);
  await introduce('a.test', a, b);
  await nats.kill();
  await a.ask('authority', 'x509', 'prepare');
  await nats.start();
  const keys = await eventually('the new authority', async () => {
    const count = await keysOf('a.test', b);
    return count === 2 ? count : undefined;
  });
  expect(keys).toBe(2);
});

it('without NATS bundles come by polling, and both servers serve (FED-21)', async () => {
  const [own = 0, peer = 0, nowhere = 0] = await freePorts(3);
  const nats = { url: `nats://127.0.0.1:${nowhere}` };
  const a = await server('a.test', 'b.test', nats, { own, peer });
  const b = await server('b.test', 'a.test', nats, { own: peer, peer: own });
  await introduce('a.test', a, b);
  await a.ask('authority', 'x509', 'prepare');
  expect(await keysOf('a.test', b)).toBe(1);
  await b.ask('federation', 'refresh', 'a.test');
  expect(await keysOf('a.test', b)).toBe(2);
  expect(await b.ask('federation', 'show', 'a.test')).toMatchObject({
    lastHeardAt: null,
    lastError: null,
  });
});
