import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { eventually } from '../programs/eventually.ts';
import { freePorts } from '../programs/free-ports.ts';
import { startAgent, writeBundle } from '../programs/launch-agent.ts';
import { createNatsProgram } from '../programs/launch-nats-server.ts';
import { launchServer, program } from '../programs/launch-server.ts';
import { runTrustplane } from '../programs/launch-trustplane.ts';
import { createRunFolder } from '../programs/run-folder.ts';
import { spawnTied } from '../programs/tied-child.ts';

const PARENT = '/spire/agent/join_token/';

it('a nats-server lives on SVIDs of seconds: server and agent know it, and it them, through rotations and a restart', async () => {
  const run = createRunFolder();
  onTestFinished(() => run.remove());
  const folder = run.path;
  const nats = path.join(folder, 'nats');
  const [port = 0] = await freePorts(1);
  const listen = `127.0.0.1:${port}`;
  const where = ['--trust-domain', 'a.test', '--dir', nats, '--listen', listen];
  const written = await runTrustplane('nats', 'config', ...where);
  expect(written.stderr).toBe('');

  const broadcast = `federation:
  nats: { servers: ['tls://${listen}'], serverId: 'spiffe://a.test/nats' }
`;
  const ttls = '  x509Svid: { ttl: 6s }\n  agentSvid: { ttl: 6s }\n';
  const server = await launchServer(folder, {
    config: `trustDomain: a.test\nserver:\n${ttls}${broadcast}`,
  });
  onTestFinished(async () => void (await server.stop()));
  const bundle = await writeBundle(folder, server);
  const agent = startAgent(folder, {
    servers: [`127.0.0.1:${server.port}`],
    config: `trustDomain: a.test\n${broadcast}`,
    flags: ['--bundle-file', bundle, '--join-token', await server.makeToken()],
  });
  onTestFinished(async () => void (await agent.stop()));
  expect(await agent.id).toContain(PARENT);
  const whose = ['--parent-id', await agent.id, '--selector', `unix:uid:${process.getuid?.()}`];
  await server.ask('entry', 'create', '--spiffe-id', 'spiffe://a.test/nats', ...whose);

  const pidFile = path.join(nats, 'nats-server.pid');
  const flags = ['--dir', nats, '--socket', agent.socket];
  const once = await runTrustplane('nats', 'follow', ...flags, '--once');
  expect([once.code, (await stat(path.join(nats, 'svid.pem'))).mode & 0o777]).toEqual([0, 0o600]);
  const natsServer = await createNatsProgram(path.join(nats, 'nats-server.conf'));
  onTestFinished(() => natsServer[Symbol.asyncDispose]());
  await natsServer.start();
  const following = [program, 'nats', 'follow', ...flags, '--pid-file', pidFile];
  const follow = spawnTied(process.execPath, following);
  onTestFinished(async () => void (await follow.stop()));
  await Promise.all([server, agent].map((one) => one.line('"connected to NATS"')));

  const first = await readFile(path.join(nats, 'svid.pem'), 'utf8');
  const loads = () => natsServer.lines.filter((line) => line.includes('Reloaded server')).length;
  await eventually('it has loaded three SVIDs', () => loads() >= 3 || undefined, {
    timeoutMs: 60_000,
  });
  expect(await readFile(path.join(nats, 'svid.pem'), 'utf8')).not.toBe(first);

  await natsServer.kill();
  const times = (lines: readonly string[]): number =>
    lines.filter((line) => line.includes('"connected to NATS"')).length;
  const before = [server, agent].map(({ log }) => times(log));
  await natsServer.start();
  for (const [n, { log }] of [server, agent].entries()) {
    await eventually('it is connected again', () => times(log) > (before[n] ?? 0) || undefined, {
      timeoutMs: 30_000,
    });
  }
  expect(await follow.stop()).toBe(0);
});
