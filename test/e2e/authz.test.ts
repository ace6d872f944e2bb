import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { eventually } from '../programs/eventually.ts';
import {
  launchTrustplane,
  type RunningTrustplane,
  runTrustplane,
} from '../programs/launch-trustplane.ts';
import { createRunFolder } from '../programs/run-folder.ts';
import { launchSidecars } from '../programs/sidecar-pair.ts';
import { type HttpAnswer, requestUnix } from '../programs/unix-http.ts';

const clientId = 'spiffe://example.org/client';
const serverId = 'spiffe://example.org/server';

interface Authorized {
  readonly trustplane: RunningTrustplane;
  /** ID of the client's only entry. */
  readonly clientEntry: string;
  /** Puts another policy in the place of the one there is. */
  save(rules: readonly object[]): void;
  ask(line: string, headers?: Record<string, string>): Promise<HttpAnswer>;
  /** The lines of the decision log. */
  decisions(): readonly string[];
}

/** A mesh whose server's Envoy asks the agent about each request. */
async function launch(rules: readonly object[]): Promise<Authorized> {
  const stack = new AsyncDisposableStack();
  onTestFinished(async () => await stack.disposeAsync());
  const folder = createRunFolder();
  stack.defer(async () => await folder.remove());
  const policies = path.join(folder.path, 'policies');
  const authzSocket = path.join(folder.path, 'authz.sock');
  mkdirSync(policies);
  const save = (all: readonly object[]): void => {
    const document = {
      apiVersion: 'trustplane/v1',
      kind: 'Policy',
      metadata: { name: 'p' },
      service: serverId,
      rules: all.map((rule, at) => ({ id: `r${at}`, from: [clientId], ...rule })),
    };
    writeFileSync(path.join(policies, '.new'), JSON.stringify(document));
    renameSync(path.join(policies, '.new'), path.join(policies, 'p.yaml'));
  };
  save(rules);
  const config = path.join(folder.path, 'trustplane.yaml');
  const file = path.join(folder.path, 'decisions.jsonl');
  const authz = { socket: authzSocket, policies, decisionLog: { file, headers: ['x-other'] } };
  writeFileSync(config, JSON.stringify({ authz }));
  const trustplane = await launchTrustplane(folder.path, '--config', config);
  stack.defer(async () => void (await trustplane.stop()));
  const pair = await launchSidecars({
    folder: folder.path,
    agentSocket: trustplane.socket,
    clientId,
    serverId,
    protocol: 'sotw',
    authzSocket,
  });
  stack.defer(async () => await pair.stop());
  const clientEntry = await trustplane.createEntry(clientId);
  await trustplane.createEntry(serverId);
  await Promise.all([pair.client.waitReady(), pair.server.waitReady()]);
  const ask = async (line: string, headers: Record<string, string> = {}) => {
    const [method = '', target = ''] = line.split(' ');
    return await requestUnix({ socketPath: pair.outboundSocket, method, path: target, headers });
  };
  const decisions = () => readFileSync(file, 'utf8').split('\n').slice(0, -1);
  return { trustplane, clientEntry, save, ask, decisions };
}

describe('an Envoy that asks about each request', () => {
  it('lets in what a rule allows, with mapped headers and without forged ones (AUTHZ-1, AUTHZ-10)', async () => {
    const { ask } = await launch([
      { allow: ['GET /v1/**'], map: { 'x-user': 'client', 'x-spiffe-id': 'source.id' } },
    ]);
    const forged = { 'x-user': 'root', 'x-other': 'kept' };
    const allowed = await ask('GET /v1/x', forged);
    expect(allowed.status).toBe(200);
    expect(JSON.parse(allowed.body)).toMatchObject({
      'x-user': 'client',
      'x-spiffe-id': clientId,
      'x-other': 'kept',
    });
    const denied = await ask('POST /v1/x');
    expect(denied.status).toBe(403);
    expect(JSON.parse(denied.body)).toEqual({
      type: 'about:blank',
      title: 'Forbidden',
      status: 403,
    });
    expect((await ask('GET /v1/..%2fadmin')).status).toBe(400);
    expect((await ask('GET /v1;x/y')).status).toBe(403);
  });

  it('leaves a line for each decision, without what is secret (AUTHZ-17)', async () => {
    const { ask, decisions } = await launch([{ allow: ['GET /v1/**'] }]);
    const headers = { authorization: 'Bearer secret', 'x-other': 'shown' };
    await ask('GET /v1/x?token=secret', headers);
    await ask('POST /v1/x', headers);
    const lines = await eventually('the lines', () => {
      const written = decisions();
      return written.length >= 2 ? written : undefined;
    });
    const [allowed, denied] = lines.map((line): unknown => JSON.parse(line));
    expect(allowed).toMatchObject({
      allowed: true,
      reason: 'allowed_by_rule',
      rule: 'r0',
      caller: clientId,
      service: serverId,
      method: 'GET',
      path: '/v1/x',
      query: ['token'],
      headers: { 'x-other': ['shown'] },
      masked: expect.arrayContaining(['authorization']),
    });
    expect(denied).toMatchObject({ allowed: false, reason: 'no_rule_matched', method: 'POST' });
    expect(lines.join()).not.toContain('secret');
  });

  it('obeys an edited policy at once, and denies when nobody answers (AUTHZ-13)', async () => {
    const { ask, save, trustplane } = await launch([{ allow: ['GET /a'] }]);
    expect((await ask('GET /a')).status).toBe(200);
    save([{ allow: ['GET /b'] }]);
    await eventually(
      'the edited policy',
      async () => (await ask('GET /b')).status === 200 || undefined,
    );
    expect((await ask('GET /a')).status).toBe(403);
    trustplane.kill('SIGKILL');
    await trustplane.ended;
    expect((await ask('GET /b')).status).toBe(503);
  });

  it('denies at once, on a live connection, whose entry was deleted', async () => {
    const { ask, trustplane, clientEntry } = await launch([{ allow: ['GET /a'] }]);
    expect((await ask('GET /a')).status).toBe(200);
    const where = ['--admin-socket', trustplane.adminSocket];
    const deleted = await runTrustplane('entry', 'delete', clientEntry, ...where);
    expect(deleted).toMatchObject({ code: 0 });
    await eventually(
      'the revocation',
      async () => (await ask('GET /a')).status === 403 || undefined,
    );
  });
});
