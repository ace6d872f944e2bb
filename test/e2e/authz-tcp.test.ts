import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parseAnswer } from '../differential/raw-client.ts';
import type { TestCertificate } from '../fakes/test-certificates.ts';
import { policyOf, WEB } from '../fakes/test-policies.ts';
import { type AuthzGround, openAuthzGround } from '../programs/authz-ground.ts';
import { eventually } from '../programs/eventually.ts';
import { freePorts } from '../programs/free-ports.ts';

const REQUEST = 'GET /x HTTP/1.1\r\nhost: api.example\r\n\r\n';
const OTHER = 'spiffe://prod.example/other';

let ground: AuthzGround;
let port: number;
let web: TestCertificate;
let other: TestCertificate;
beforeAll(async () => {
  const [first = 0, second = 0, third = 0] = await freePorts(3);
  port = first;
  ground = await openAuthzGround({
    listeners: [
      { name: 'tcp', isTcp: true, port },
      { name: 'alert', isTcp: true, port: second, authz: { send_tls_alert_on_denial: true } },
      { name: 'plain', isTcp: true, isPlain: true, port: third },
    ],
  });
  web = await ground.issue({ uris: [WEB] });
  other = await ground.issue({ uris: [OTHER] });
});
afterAll(async () => await ground.close());
beforeEach(() => {
  ground.policies = [policyOf([{ from: [WEB], allow: [{ port }] }])];
});

/** Sends what the application understands; the answer's status, or `closed`. */
async function askOn(socket: Socket): Promise<number | 'closed'> {
  return await new Promise((resolve) => {
    let text = '';
    socket.once('close', () => resolve('closed'));
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      const answer = parseAnswer(text);
      if (answer !== undefined) resolve(answer.status);
    });
    socket.write(REQUEST);
  });
}

/** What comes of a new connection, and why. */
async function ask(listener: string, certificate?: TestCertificate): Promise<string> {
  const before = ground.records.length;
  const socket = await ground.dial(listener, { certificate });
  const status = await askOn(socket);
  socket.destroy();
  await eventually('a decision', () => ground.records.length > before || undefined);
  return `${status} ${ground.records.at(-1)?.decision.reason}`;
}

describe('a connection that the network filter asks about', () => {
  it('is let through for who may, and cut for others (AUTHZ-3)', async () => {
    expect(await ask('tcp', web)).toBe('200 allowed_by_rule');
    expect(ground.records.at(-1)?.request).toMatchObject({
      http: undefined,
      destination: { port },
    });
    expect(await ask('tcp', other)).toBe('closed no_rule_matched');
    expect(await ask('tcp')).toBe('closed unauthenticated');
    const two = await ground.issue({ uris: [WEB, OTHER] });
    expect(await ask('tcp', two)).toBe('closed bad_svid');
    const old = await ground.issue({ uris: [WEB], notAfter: Date.now() - 60_000 });
    expect(await ask('tcp', old)).toBe('closed bad_svid');
  });

  it('is of nobody without TLS', async () => {
    expect(await ask('plain')).toBe('closed policy_missing');
    ground.policies = [policyOf([{ from: 'anyone', allow: [{ port }] }])];
    expect(await ask('plain')).toBe('closed policy_missing');
  });

  it('is allowed by no rule with methods, paths, hosts, headers or methods of gRPC', async () => {
    for (const operation of ['GET /x', 'ANY /**', { hosts: ['**'] }, { grpc: ['a.B/*'] }]) {
      ground.policies = [policyOf([{ allow: [operation] }])];
      expect(await ask('tcp', web)).toBe('closed no_rule_matched');
    }
    ground.policies = [policyOf([{ allow: [{ port }], when: { headers: { 'x-a': '*' } } }])];
    expect(await ask('tcp', web)).toBe('closed no_rule_matched');
  });

  it('is not denied by a rule with a path, which it has none of, and is by one without', async () => {
    const allow = { allow: [{ port }] };
    ground.policies = [policyOf([allow, { deny: ['/x'] }])];
    expect(await ask('tcp', web)).toBe('200 allowed_by_rule');
    ground.policies = [policyOf([allow, { deny: [{ port }] }])];
    expect(await ask('tcp', web)).toBe('closed denied_by_rule');
    ground.policies = [policyOf([{ allow: [{ port: port === 1 ? 2 : 1 }] }])];
    expect(await ask('tcp', web)).toBe('closed no_rule_matched');
  });

  it('keeps its decision; a new one of a caller that was revoked is cut', async () => {
    const gone = 'spiffe://prod.example/gone';
    ground.policies = [policyOf([{ from: [gone], allow: [{ port }] }])];
    const certificate = await ground.issue({ uris: [gone] });
    const socket = await ground.dial('tcp', { certificate });
    expect(await askOn(socket)).toBe(200);
    ground.revocations.add({ kind: 'spiffe-id', value: gone, issuedBefore: Date.now() });
    expect(await ask('tcp', certificate)).toBe('closed revoked');
    const asked = ground.records.length;
    expect(await askOn(socket)).toBe(200);
    ground.policies = [];
    expect(await askOn(socket)).toBe(200);
    expect(ground.records).toHaveLength(asked);
    socket.destroy();
  });

  it('is ended with an alert of TLS where the proxy is told so', async () => {
    const socket = await ground.dial('alert', { certificate: other });
    const failed = once(socket, 'error');
    socket.write(REQUEST);
    expect(await failed).toMatchObject([{ code: 'ERR_SSL_TLSV1_ALERT_ACCESS_DENIED' }]);
  });
});
