import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { expect, it, onTestFinished } from 'vitest';
import { eventually } from '../programs/eventually.ts';
import { launchTrustplane, runTrustplane } from '../programs/launch-trustplane.ts';
import { listeningPorts } from '../programs/listening-ports.ts';
import { createRunFolder } from '../programs/run-folder.ts';
import { launchSidecars } from '../programs/sidecar-pair.ts';
import { requestUnix } from '../programs/unix-http.ts';

const clientId = 'spiffe://example.org/client';
const serverId = 'spiffe://example.org/server';
const jobId = 'spiffe://example.org/job';

/** A mesh whose server takes tokens beside mTLS, and tells the application whose they are, signed. */
async function launch() {
  const stack = new AsyncDisposableStack();
  onTestFinished(async () => await stack.disposeAsync());
  const folder = createRunFolder();
  stack.defer(async () => await folder.remove());
  const place = (name: string) => path.join(folder.path, name);
  mkdirSync(place('policies'));
  const policy = {
    apiVersion: 'trustplane/v1',
    kind: 'Policy',
    metadata: { name: 'p' },
    service: serverId,
    rules: [
      {
        id: 'jobs',
        from: { ids: [jobId], credentials: ['jwt-svid'] },
        allow: ['GET /x'],
        map: { 'x-user': 'source.id', 'x-identity-assertion': 'assertion' },
      },
    ],
  };
  writeFileSync(place('policies/p.yaml'), JSON.stringify(policy));
  const authz = {
    socket: place('authz.sock'),
    policies: place('policies'),
    jwtSvid: { peers: [clientId] },
    assertion: { keyFile: place('assertion-keys.json') },
  };
  const config = place('trustplane.yaml');
  writeFileSync(config, JSON.stringify({ authz, metrics: { address: '127.0.0.1:0' } }));
  const trustplane = await launchTrustplane(folder.path, '--config', config);
  stack.defer(async () => void (await trustplane.stop()));
  const pair = await launchSidecars({
    folder: folder.path,
    agentSocket: trustplane.socket,
    clientId,
    serverId,
    protocol: 'sotw',
    authzSocket: authz.socket,
  });
  stack.defer(async () => await pair.stop());
  for (const id of [clientId, serverId]) await trustplane.createEntry(id);
  const jobEntry = await trustplane.createEntry(jobId);
  await Promise.all([pair.client.waitReady(), pair.server.waitReady()]);
  const ask = async (headers: Record<string, string>) =>
    await requestUnix({ socketPath: pair.outboundSocket, path: '/x', headers });
  return { ask, authz, config, jobEntry, trustplane };
}

it('takes tokens that the agent gave, tells the application by a signed assertion, and denies a deleted entry at once (AUTHZ-16)', async () => {
  const { ask, authz, config, jobEntry, trustplane } = await launch();
  const socket = ['--socket', trustplane.socket, '--output', 'json'];
  const asked = ['--audience', serverId, '--spiffe-id', jobId];
  const fetched = await runTrustplane('api', 'fetch', 'jwt', ...asked, ...socket);
  expect(fetched).toMatchObject({ code: 0 });
  const token: string = JSON.parse(fetched.stdout).svids[0].token;
  const headers = { authorization: `Bearer ${token}`, 'x-identity-assertion': 'forged' };
  const answer = await ask(headers);
  expect(answer.status).toBe(200);
  const seen: Record<string, string> = JSON.parse(answer.body);
  expect(seen['x-user']).toBe(jobId);
  expect((await ask({})).status).toBe(403);

  const printed = await runTrustplane('authz', 'jwks', '--config', config);
  const [port] = listeningPorts(trustplane.pid);
  const served = await fetch(`${port?.replace('tcp ', 'http://')}/authz/jwks.json`);
  expect(await served.text()).toBe(printed.stdout);
  const jwks = createLocalJWKSet(JSON.parse(printed.stdout));
  const { payload } = await jwtVerify(seen['x-identity-assertion'] ?? '', jwks, {
    issuer: 'spiffe://example.org',
    audience: serverId,
    typ: 'assertion+jwt',
  });
  expect(payload).toMatchObject({ sub: jobId, headers: { 'x-user': jobId } });
  expect(statSync(authz.assertion.keyFile).mode & 0o777).toBe(0o600);

  const where = ['--admin-socket', trustplane.adminSocket];
  expect(await runTrustplane('entry', 'delete', jobEntry, ...where)).toMatchObject({ code: 0 });
  await eventually('the revocation', async () => (await ask(headers)).status === 403 || undefined);
  expect(trustplane.lines.join('\n')).not.toContain(token.split('.')[1]);
  expect(trustplane.lines.join('\n')).not.toContain('eyJ');
});
