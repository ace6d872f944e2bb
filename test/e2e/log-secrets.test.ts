import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { buildCsr, generateP256KeyPair } from '../../src/spiffe/index.ts';
import { csrWithoutId } from '../fakes/open-fleet.ts';
import { eventually } from '../programs/eventually.ts';
import { createFleetProcess } from '../programs/fleet-process.ts';
import { joinServer, launchServer } from '../programs/launch-server.ts';
import { runTrustplane } from '../programs/launch-trustplane.ts';
import { createRunFolder } from '../programs/run-folder.ts';

/** Where a run of agents, workloads and administrators is logged whole. */
const CONFIG = 'log: { level: trace }\nserver: { rateLimits: { attestation: 100 } }\n';

it('tokens, requests and keys are in no log, however much is logged', async () => {
  const folder = createRunFolder();
  const at = (name: string): string => path.join(folder.path, name);
  const server = await launchServer(folder.path, { config: CONFIG });
  const secrets: string[] = [];
  const forms = (bytes: Uint8Array): string[] =>
    (['base64', 'base64url', 'hex'] as const).map((form) => Buffer.from(bytes).toString(form));

  // Tokens that are kept, spent, shown twice and made up.
  const kept = await server.makeToken();
  const spent = await server.makeToken();
  const forged = '9f1c6a0e-forged-token';
  const client = server.dial();
  const keys = generateP256KeyPair();
  const csr = csrWithoutId(keys);
  await client.attest('join_token', Buffer.from(spent), keys, csr);
  for (const token of [spent, forged]) {
    await client.attest('join_token', Buffer.from(token)).catch(() => {});
  }
  const misSigned = buildCsr({ ...keys, sign: generateP256KeyPair().sign });
  await client.attest('join_token', Buffer.from(kept), keys, misSigned).catch(() => {});
  client.close();
  secrets.push(kept, spent, forged, ...forms(csr), ...forms(misSigned), ...forms(keys.privateKey));

  // An agent of its own process, its workload, and what is minted on the way.
  const bundle = await runTrustplane('bundle', 'show', '--admin-socket', server.adminSocket);
  writeFileSync(at('bundle.pem'), bundle.stdout);
  const agent = createFleetProcess([
    'agent',
    'run',
    '--server',
    `127.0.0.1:${server.port}`,
    '--bundle-file',
    at('bundle.pem'),
    '--join-token',
    kept,
    '--data-dir',
    at('agent'),
    '--socket',
    at('agent.sock'),
    '--cache-key-file',
    at('cache.key'),
    '--log-level',
    'trace',
  ]);
  const { agentId } = await agent.start();
  await server.ask(
    'entry',
    'create',
    '--parent-id',
    String(agentId),
    '--spiffe-id',
    'spiffe://example.org/w',
    '--selector',
    `unix:uid:${process.getuid?.() ?? 0}`,
  );
  const socket = ['--socket', at('agent.sock')];
  await eventually('the workload has its SVID', async () => {
    const fetched = await runTrustplane('api', 'fetch', 'x509', ...socket, '--write', folder.path);
    return fetched.code === 0;
  });
  const key = readFileSync(at('svid.0.key'), 'utf8').split('\n')[1] ?? '';
  const jwt = await runTrustplane('api', 'fetch', 'jwt', ...socket, '--audience', 'a');
  const token = /eyJ[\w.-]+/u.exec(jwt.stdout)?.[0] ?? '';
  expect([key.length, token.length]).toEqual([64, expect.toSatisfy((length) => length > 100)]);
  secrets.push(key, token, token.split('.')[2] ?? '');
  const joined = await joinServer(server);
  secrets.push(...forms(joined.privateKey));
  await agent.stop();
  await server.stop();

  // A spent token stays in the ID of the agent that was made of it, as in SPIRE; it opens nothing.
  const text = [...server.log, ...agent.lines].join('\n').replace(/join_token\/[\w-]+/gu, '');
  for (const line of ['agent attested', 'SVID issued', 'join token created'])
    expect(text).toContain(line);
  expect(secrets.filter((secret) => secret !== '' && text.includes(secret))).toEqual([]);
  expect(text).not.toMatch(/PRIVATE KEY|eyJ[\w-]+\.eyJ/u);
  await folder.remove();
});
