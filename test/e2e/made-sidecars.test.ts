import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect, createServer as createTcpServer, type Server } from 'node:net';
import path from 'node:path';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { BootstrapFlags } from '../../src/envoy/index.ts';
import { eventually } from '../programs/eventually.ts';
import { freePorts } from '../programs/free-ports.ts';
import { launchTrustplane, type RunningTrustplane } from '../programs/launch-trustplane.ts';
import { launchMadeSidecars, type MadeSidecars, madeIds } from '../programs/made-sidecars.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';
import { requestUnix } from '../programs/unix-http.ts';

const ISSUER = 'https://login.example';

/** An agent, and who is asked there. */
interface Ground {
  readonly folder: RunFolder;
  readonly trustplane: RunningTrustplane;
  readonly authzSocket: string;
}

async function openGround(rbac: object, port: number): Promise<Ground> {
  const folder = createRunFolder();
  const authzSocket = path.join(folder.path, 'authz.sock');
  const policies = path.join(folder.path, 'policies');
  mkdirSync(policies);
  const from = [madeIds.client];
  const rules = [
    { id: 'reads', from, allow: ['GET /items/**'] },
    { id: 'asks', from, allow: [{ methods: ['GET'], paths: ['/search'], query: { q: ['a'] } }] },
    {
      id: 'works',
      from,
      allow: ['GET /desk'],
      when: { jwt: { issuer: ISSUER, claims: { groups: { contains: 'staff' } } } },
    },
    { id: 'connects', from, allow: [{ port }] },
  ];
  const policy = {
    apiVersion: 'trustplane/v1',
    kind: 'Policy',
    metadata: { name: 'server' },
    service: madeIds.server,
    rules,
  };
  const tenant = {
    ...policy,
    metadata: { name: 'tenant' },
    service: { contextExtension: 'tenant a' },
    rules: [{ id: 'rents', from, allow: ['GET /rooms/**'] }],
  };
  writeFileSync(path.join(policies, 'server.yaml'), JSON.stringify(policy));
  writeFileSync(path.join(policies, 'tenant.yaml'), JSON.stringify(tenant));
  const config = path.join(folder.path, 'trustplane.yaml');
  writeFileSync(config, JSON.stringify({ authz: { socket: authzSocket, policies, rbac } }));
  const trustplane = await launchTrustplane(folder.path, '--config', config);
  for (const id of Object.values(madeIds)) await trustplane.createEntry(id);
  return { folder, trustplane, authzSocket };
}

let withRules: Ground;
let withoutRules: Ground;
let port: number;
beforeAll(async () => {
  [port = 0] = await freePorts(1);
  withRules = await openGround({}, port);
  withoutRules = await openGround({ enabled: false }, port);
});
afterAll(async () => {
  for (const { folder, trustplane } of [withRules, withoutRules]) {
    await trustplane.stop();
    await folder.remove();
  }
});

type Flags = Partial<BootstrapFlags>;

async function launch(
  { trustplane }: Ground,
  flags: { both?: Flags; server?: Flags; client?: Flags },
): Promise<MadeSidecars> {
  const folder = createRunFolder();
  onTestFinished(async () => await folder.remove());
  const pair = await launchMadeSidecars(folder.path, trustplane.socket, flags);
  onTestFinished(async () => await pair.stop());
  await Promise.all([pair.client.waitReady(), pair.server.waitReady()]);
  return pair;
}

async function listen(server: Server, socketPath: string): Promise<void> {
  server.listen(socketPath);
  await once(server, 'listening');
  onTestFinished(() => void server.close());
}

/** HTTP, before an application that answers with what it saw of the caller. */
async function launchHttp(ground: Ground, server: Flags, both: Flags = {}): Promise<MadeSidecars> {
  const pair = await launch(ground, { server, both });
  await listen(
    createServer((request, response) =>
      response.end(String(request.headers['x-forwarded-client-cert'])),
    ),
    pair.application,
  );
  return pair;
}

async function status(pair: MadeSidecars, target: string, headers = {}): Promise<number> {
  return (await requestUnix({ socketPath: pair.egress, path: target, headers })).status;
}

/** The lines that the server's Envoy has written; it ends, which is when it writes the last. */
async function logged({ server, accessLog }: MadeSidecars): Promise<readonly unknown[]> {
  await server.stop();
  const lines = readFileSync(accessLog, 'utf8').trim().split('\n');
  return lines.map((line): unknown => JSON.parse(line));
}

/** A login service: the file of its keys, and tokens that it signs for the audience `shop`. */
async function openLogin(folder: string): Promise<{
  readonly file: string;
  readonly sign: (claims: JWTPayload) => Promise<string>;
}> {
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const file = path.join(folder, 'jwks.json');
  const key = { ...(await exportJWK(publicKey)), kid: 'a', alg: 'ES256' };
  writeFileSync(file, JSON.stringify({ keys: [key] }));
  const sign = async (claims: JWTPayload): Promise<string> =>
    await new SignJWT({ iss: ISSUER, sub: 'ann', aud: 'shop', ...claims })
      .setProtectedHeader({ alg: 'ES256', kid: 'a' })
      .setExpirationTime('1h')
      .sign(privateKey);
  return { file, sign };
}

describe('sidecars that envoy bootstrap made', () => {
  it('let those in who are named, where nobody decides', async () => {
    const pair = await launchHttp(withRules, { authz: 'none', callerId: [madeIds.client] });
    const { body } = await requestUnix({ socketPath: pair.egress, path: '/' });
    expect(body).toContain(`URI=${madeIds.client}`);
    const [line] = await logged(pair);
    expect(line).toMatchObject({
      status: 200,
      peer: madeIds.client,
      service: madeIds.server,
      peerSerial: expect.stringMatching(/^[0-9a-f]{2,}$/u),
    });
  });

  it('let nobody else in', async () => {
    const callerId = ['spiffe://example.org/other'];
    const pair = await launchHttp(withRules, { authz: 'none', callerId });
    expect(await status(pair, '/')).toBe(503);
    const [refused] = (await pair.server.stats('ssl.fail_verify_san')).values();
    expect(refused).toBeGreaterThan(0);
  });

  it('do as Check says', async () => {
    const { authzSocket } = withRules;
    const pair = await launchHttp(withRules, { authz: 'check', authzSocket }, { sotw: true });
    expect(await status(pair, '/items/1')).toBe(200);
    expect(await status(pair, '/others/1')).toBe(403);
    expect(await logged(pair)).toMatchObject([
      { extAuthz: { rule: 'reads' }, rbac: null, path: '/items/1' },
      { extAuthz: { reason: 'no_rule_matched' }, details: 'ext_authz_denied' },
    ]);
  });

  it.each<Flags>([{}, { sotw: true }, { ads: true }, { ads: true, sotw: true }])(
    'decide by rules, and deny what they are not sure of, with %j',
    async (both) => {
      const pair = await launchHttp(withRules, {}, both);
      await eventually('rules', async () => (await status(pair, '/items/1')) === 200);
      expect(await status(pair, '/items/1?a=b')).toBe(200);
      expect(await status(pair, '/others/1', { 'x-envoy-original-path': '/items/1' })).toBe(403);
      expect(await status(pair, '/search?q=a')).toBe(403);
      const denial = 'rbac_access_denied_matched_policy[no_rule_matched]';
      expect((await logged(pair)).slice(-3)).toMatchObject([
        { rbac: { tp_enforced_effective_policy_id: 'reads' }, extAuthz: null },
        { details: denial },
        { details: denial },
      ]);
    },
  );

  it.each<Flags>([{}, { ads: true }])(
    'ask about what rules leave open, and only that, with %j',
    async (both) => {
      const { authzSocket } = withRules;
      const pair = await launchHttp(withRules, { authzSocket }, both);
      const rules = async (): Promise<boolean> =>
        [...(await pair.server.stats('rbac.*config_reload')).values()].some((count) => count > 0);
      await eventually('rules', rules);
      expect(await status(pair, '/items/1')).toBe(200);
      expect(await status(pair, '/search?q=a')).toBe(200);
      expect(await status(pair, '/search?q=b')).toBe(403);
      expect(await logged(pair)).toMatchObject([
        { rbac: { tp_alone_shadow_effective_policy_id: 'reads' }, extAuthz: null },
        { extAuthz: { rule: 'asks' } },
        { extAuthz: { reason: 'no_rule_matched' }, details: 'ext_authz_denied' },
      ]);
    },
  );

  it('know people by tokens that Envoy verified', async () => {
    const { file, sign } = await openLogin(withRules.folder.path);
    const jwtProvider = [`issuer=${ISSUER},audience=shop,jwks=${file}`];
    const pair = await launchHttp(withRules, { jwtProvider });
    await eventually('rules', async () => (await status(pair, '/items/1')) === 200);
    const asked = async (token: string): Promise<number> =>
      await status(pair, '/desk', { authorization: `Bearer ${token}` });
    expect(await asked(await sign({ groups: ['staff'] }))).toBe(200);
    expect(await asked(await sign({ groups: ['guests'] }))).toBe(403);
    expect(await asked(await sign({ groups: ['staff'], aud: 'another' }))).toBe(403);
    expect(await asked('no.token.atall')).toBe(401);
    expect(await status(pair, '/desk')).toBe(403);
  });

  it.each<Flags>([{}, { authz: 'rbac+check' }])(
    'go by the policies that are named, too, with %j',
    async (server) => {
      const asked = server.authz === undefined ? {} : { authzSocket: withRules.authzSocket };
      const pair = await launchHttp(withRules, { policyName: 'tenant a', ...server, ...asked });
      await eventually('rules', async () => (await status(pair, '/rooms/1')) === 200);
      expect(await status(pair, '/items/1')).toBe(200);
      expect(await status(pair, '/others')).toBe(403);
    },
  );

  it('leave all to Check while there are no rules in Envoy', async () => {
    const { authzSocket } = withoutRules;
    const pair = await launchHttp(withoutRules, { authzSocket });
    expect(await status(pair, '/items/1')).toBe(200);
    expect(await status(pair, '/others/1')).toBe(403);
    expect(await logged(pair)).toMatchObject([
      { extAuthz: { rule: 'reads' } },
      { extAuthz: { reason: 'no_rule_matched' } },
    ]);
  });

  it('let nobody in while there are no rules in Envoy and nobody to ask', async () => {
    const pair = await launchHttp(withoutRules, {});
    expect(await status(pair, '/items/1')).toBe(403);
    expect(await logged(pair)).toMatchObject([
      { status: 403, details: 'rbac_access_denied_matched_policy[policy_missing]' },
    ]);
  });
});

/** What comes from an application that says `greeting` first, before the connection ends or `bytes` are there. */
async function hear(pair: MadeSidecars, say: string): Promise<string> {
  const socket = connect(pair.egress);
  onTestFinished(() => void socket.destroy());
  let heard = '';
  const done = new Promise<void>((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      heard += chunk.toString();
      if (heard.includes('!')) resolve();
    });
    socket.on('close', () => resolve());
    socket.on('error', () => resolve());
  });
  socket.write(say);
  await done;
  return heard;
}

interface TcpSidecars extends MadeSidecars {
  /** Connections that the application has had. */
  readonly met: () => number;
}

/** mTLS goes over a port, which rules go by. */
async function launchTcp(ground: Ground, server: Flags, listenPort: number): Promise<TcpSidecars> {
  const at = `127.0.0.1:${listenPort}`;
  const both = { tcp: true };
  const pair = await launch(ground, {
    both,
    server: { listen: at, ...server },
    client: { peer: at },
  });
  let met = 0;
  const application = createTcpServer((socket) => {
    met += 1;
    socket.on('error', () => {});
    socket.write('greeting ');
    socket.on('data', (chunk: Buffer) => socket.write(`echo ${chunk.toString()}`));
  });
  await listen(application, pair.application);
  return { ...pair, met: () => met };
}

describe('sidecars of TCP that envoy bootstrap made', () => {
  it('carry bytes of those who are named', async () => {
    const server = { authz: 'none', callerId: [madeIds.client] } as const;
    const pair = await launchTcp(withRules, server, port);
    expect(await hear(pair, 'x!')).toBe('greeting echo x!');
  });

  it.each(['rbac', 'check'] as const)('carry bytes of those who may, by %s', async (authz) => {
    const { authzSocket } = withRules;
    const asked = authz === 'check' ? { authzSocket } : {};
    const pair = await launchTcp(withRules, { authz, ...asked }, port);
    const heard = await eventually('rules', async () => (await hear(pair, 'x!')) || undefined);
    expect(heard).toBe('greeting echo x!');
  });

  it.each(['rbac', 'check'] as const)(
    'tell those who may not nothing of what the application says first, by %s',
    async (authz) => {
      const { authzSocket } = withRules;
      const [other = 0] = await freePorts(1);
      const asked = authz === 'check' ? { authzSocket } : {};
      const pair = await launchTcp(withRules, { authz, ...asked }, other);
      expect(await hear(pair, 'x!')).toBe('');
      expect(pair.met()).toBe(0);
    },
  );
});
