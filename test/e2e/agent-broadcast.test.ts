import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { SdsClient, type SdsTestStream } from '../fakes/sds-client.ts';
import { type LaunchedAgent, startAgent, writeBundle } from '../programs/launch-agent.ts';
import { launchNatsServer } from '../programs/launch-nats-server.ts';
import { type LaunchedServer, launchServer } from '../programs/launch-server.ts';
import { runTrustplane } from '../programs/launch-trustplane.ts';
import { createRunFolder } from '../programs/run-folder.ts';

const uid = process.getuid?.() ?? 0;

/** A folder that goes when the test is over. */
function folder(): string {
  const run = createRunFolder();
  onTestFinished(() => run.remove());
  return run.path;
}

async function start(config: string): Promise<LaunchedServer> {
  const server = await launchServer(folder(), { config });
  onTestFinished(async () => void (await server.stop()));
  return server;
}

/** An agent that hears over NATS. */
function join(at: string, flags: readonly string[], server: LaunchedServer, nats: string) {
  const config = `trustDomain: b.test\nfederation: { nats: { servers: ['${nats}'] } }\n`;
  const agent = startAgent(at, { servers: [`127.0.0.1:${server.port}`], config, flags });
  onTestFinished(async () => void (await agent.stop()));
  return agent;
}

/** SDS as an Envoy has it, for the authorities of a.test. */
function watch(agent: LaunchedAgent): SdsTestStream {
  const client = new SdsClient(agent.socket);
  onTestFinished(() => client.close());
  const stream = client.sotw();
  stream.send({ node: { id: 'envoy' }, resource_names: ['spiffe://a.test'] });
  return stream;
}

/** How many authorities came with the next answer, which is acknowledged. */
async function authorities(stream: SdsTestStream): Promise<number> {
  const { secrets, version, nonce } = await stream.next();
  stream.send({
    version_info: version,
    response_nonce: nonce,
    resource_names: ['spiffe://a.test'],
  });
  // Each names its trust domain.
  return (secrets[0]?.text ?? '').split('spiffe://a.test').length - 1;
}

it('a root that rotates reaches the Envoys of another domain whose servers are all dead, also after a restart of the agent', async () => {
  const nats = await launchNatsServer({ jetStream: true });
  onTestFinished(() => nats[Symbol.asyncDispose]());
  const common = `federation:\n  nats: { servers: ['${nats.url}'] }`;
  const a = await start(`trustDomain: a.test\n${common}\n`);
  const b = await start(`trustDomain: b.test\n${common}
  relationships:
    - trustDomain: a.test
      bundleEndpointUrl: https://127.0.0.1:1/
      bundleEndpointProfile: https_spiffe
      endpointSpiffeId: spiffe://a.test/spire/server
`);
  const show = ['bundle', 'show', '--format', 'spiffe', '--admin-socket', a.adminSocket];
  const file = path.join(folder(), 'a.json');
  writeFileSync(file, (await runTrustplane(...show)).stdout);
  await b.ask('bundle', 'set', '--id', 'a.test', '--format', 'spiffe', '--path', file);

  const place = folder();
  const trusted = ['--bundle-file', await writeBundle(place, b)];
  const token = ['--join-token', await b.makeToken()];
  const agent = join(place, [...trusted, ...token], b, nats.url);
  const whose = ['--parent-id', await agent.id, '--selector', `unix:uid:${uid}`];
  const what = ['--spiffe-id', 'spiffe://b.test/web', '--federates-with', 'a.test'];
  await b.ask('entry', 'create', ...whose, ...what);
  const stream = watch(agent);
  expect(await authorities(stream)).toBe(1);

  b.kill('SIGKILL');
  await b.ended;
  await a.ask('authority', 'x509', 'prepare');
  expect(await authorities(stream)).toBe(2);

  await agent.stop();
  await nats.kill();
  const again = join(place, trusted, b, nats.url);
  await again.id;
  expect(await authorities(watch(again))).toBe(2);
});
