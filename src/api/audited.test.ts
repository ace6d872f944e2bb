import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { FakeAudit } from '../../test/fakes/fake-audit.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { type GrpcService, loadService } from '../wire/index.ts';
import { audited } from './audited.ts';
import { auditedMethods } from './audited-methods.ts';
import { unary } from './unary.ts';

const requester = { kind: 'user', uid: 0, name: 'root' } as const;

function serve(
  file: string,
  name: string,
  implementation: GrpcService['implementation'],
): { audit: FakeAudit; call: (method: string, request: object) => Promise<unknown> } {
  const audit = new FakeAudit();
  const service = audited(
    { definition: loadService(file, name), implementation },
    { audit, userName: () => undefined, requester: () => requester },
  );
  const call = async (method: string, request: object): Promise<unknown> => {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const respond = (error: unknown, answer: unknown): void =>
      error === null ? resolve(answer) : reject(error);
    const handler = service.implementation[method];
    if (handler === undefined) throw new Error(`no method ${method}`);
    const handled = Promise.resolve(
      Reflect.apply(handler, undefined, [{ request, getPeer: () => '' }, respond]),
    );
    return await Promise.race([promise, handled.then(() => promise)]);
  };
  return { audit, call };
}

const agentProto = ['spire/api/server/agent/v1/agent.proto', 'spire.api.server.agent.v1.Agent'];
const entryProto = ['spire/api/server/entry/v1/entry.proto', 'spire.api.server.entry.v1.Entry'];

/** Methods that change nothing, or whose SVIDs and attestations have records of their own. */
const unaudited: Readonly<Record<string, readonly string[]>> = {
  'spire.api.server.agent.v1.Agent': [
    'AttestAgent',
    'CountAgents',
    'GetAgent',
    'ListAgents',
    'PostStatus',
    'RenewAgent',
  ],
  'spire.api.server.bundle.v1.Bundle': [
    'CountBundles',
    'GetBundle',
    'GetFederatedBundle',
    'ListFederatedBundles',
    // Nobody serves it.
    'PublishWITAuthority',
  ],
  'spire.api.server.debug.v1.Debug': ['GetInfo'],
  'spire.api.server.entry.v1.Entry': [
    'CountEntries',
    'GetAuthorizedEntries',
    'GetEntry',
    'ListEntries',
    'SyncAuthorizedEntries',
  ],
  'spire.api.server.localauthority.v1.LocalAuthority': [
    'GetJWTAuthorityState',
    'GetX509AuthorityState',
    'GetWITAuthorityState',
    // Nobody serves these.
    'ActivateWITAuthority',
    'PrepareWITAuthority',
    'RevokeWITAuthority',
    'TaintWITAuthority',
  ],
  'spire.api.server.logger.v1.Logger': ['GetLogger'],
  'spire.api.server.svid.v1.SVID': [
    'BatchNewX509SVID',
    'MintJWTSVID',
    'MintX509SVID',
    'NewDownstreamX509CA',
    'NewJWTSVID',
  ],
  'spire.api.server.trustdomain.v1.TrustDomain': [
    'GetFederationRelationship',
    'ListFederationRelationships',
  ],
  'trustplane.admin.v1.Admin': ['GetRotationStatus', 'GetStatus'],
  'trustplane.admin.v1.Apply': ['Export'],
  'trustplane.admin.v1.Crls': ['GetCrl', 'ListCrls'],
  'trustplane.admin.v1.Federation': ['GetRelationship', 'ListRelationships'],
  'trustplane.admin.v1.Revocations': ['List'],
  'trustplane.admin.v1.Servers': ['ListServers'],
  'trustplane.audit.v1.Audit': ['Export', 'Show', 'Verify'],
  'trustplane.explain.v1.Explain': ['Ask', 'WhatIf'],
  'trustplane.policy.v1.PolicyService': ['History', 'Show', 'Status'],
  'trustplane.sync.v1.Sync': ['Sync'],
};
/** Of agents. */
const ofAgents = new Set([
  'trustplane.agent.v1.Agent',
  'trustplane.agent.v1.Facts',
  'trustplane.explain.v1.AgentExplain',
]);

/** All methods of the servers' services, by service. */
function methodsOfServers(): Record<string, readonly string[]> {
  const folder = new URL('../../proto/', import.meta.url);
  const files = ['spire/api/server', 'trustplane'].flatMap((under) =>
    readdirSync(new URL(`${under}/`, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.proto'))
      .map((file) => `${under}/${file}`),
  );
  const found = files.flatMap((file) => {
    const text = readFileSync(new URL(file, folder), 'utf8');
    const name = /^package ([\w.]+);/mu.exec(text)?.[1] ?? '';
    return Array.from(
      text.matchAll(/^service (\w+)/gmu),
      ([, service = '']) => `${name}.${service}`,
    )
      .filter((service) => !ofAgents.has(service))
      .map((service) => [service, Object.keys(loadService(file, service)).sort()] as const);
  });
  return Object.fromEntries(found);
}

describe('audited', () => {
  it('has every method of every service that changes something', () => {
    const known = (service: string): readonly string[] =>
      [...Object.keys(auditedMethods[service] ?? {}), ...(unaudited[service] ?? [])].sort();
    const methods = methodsOfServers();
    expect(methods).toEqual(
      Object.fromEntries(Object.keys(methods).map((service) => [service, known(service)])),
    );
    expect(Object.keys(methods)).toEqual(expect.arrayContaining(Object.keys(auditedMethods)));
  });

  it('tells who did what, before it is answered, and never a join token', async () => {
    const [file = '', name = ''] = agentProto;
    const { audit, call } = serve(file, name, {
      CreateJoinToken: unary(() => ({ value: 'secret-token', expires_at: '17' })),
    });
    const agent_id = { trust_domain: 'a.test', path: '/x' };
    await call('CreateJoinToken', { ttl: 60, token: 'my-secret', agent_id });
    expect(audit.events).toEqual([
      {
        kind: 'admin',
        method: 'spire.api.server.agent.v1.Agent/CreateJoinToken',
        requester,
        outcome: 'OK',
        what: 'ttl=60 agent_id="spiffe://a.test/x" expires_at="17"',
      },
    ]);
    expect(JSON.stringify(audit.events)).not.toContain('secret');
  });

  it('tells which of a batch were made and how many were refused', async () => {
    const [file = '', name = ''] = entryProto;
    const { audit, call } = serve(file, name, {
      BatchCreateEntry: unary(() => ({
        results: [{ status: { code: 0 }, entry: { id: 'e1' } }, { status: { code: 6 } }],
      })),
    });
    await call('BatchCreateEntry', { entries: [{ hint: 'a' }, { hint: 'b' }] });
    expect(audit.events).toMatchObject([
      { outcome: '1 of 2 refused', what: 'entries=[{"hint":"a"},{"hint":"b"}] ids=["e1"]' },
    ]);
  });

  it('tells the code of what was refused', async () => {
    const [file = '', name = ''] = agentProto;
    const { audit, call } = serve(file, name, {
      BanAgent: unary(() => {
        throw new TrustplaneError('ERR_AGENT_NOT_FOUND', 'there is none');
      }),
    });
    await expect(call('BanAgent', { id: null })).rejects.toMatchObject({
      code: 'ERR_AGENT_NOT_FOUND',
    });
    expect(audit.events).toMatchObject([{ outcome: 'ERR_AGENT_NOT_FOUND', what: '' }]);
  });

  it('does not answer what could not be recorded', async () => {
    const [file = '', name = ''] = agentProto;
    const { audit, call } = serve(file, name, { DeleteAgent: unary(() => ({})) });
    audit.failure = new TrustplaneError('ERR_AUDIT_WRITE', 'no room');
    await expect(call('DeleteAgent', {})).rejects.toMatchObject({ code: 'ERR_AUDIT_WRITE' });
  });

  it('leaves what only reads as it is', async () => {
    const [file = '', name = ''] = agentProto;
    const { audit, call } = serve(file, name, { CountAgents: unary(() => ({ count: 1 })) });
    await call('CountAgents', {});
    expect(audit.calls).toBe(0);
  });

  it('does nothing while it cannot be recorded', async () => {
    const [file = '', name = ''] = agentProto;
    let done = 0;
    const { audit, call } = serve(file, name, { DeleteAgent: unary(() => ({ done: ++done })) });
    audit.failure = new TrustplaneError('ERR_AUDIT_WRITE', 'no room');
    await expect(call('DeleteAgent', {})).rejects.toMatchObject({ code: 'ERR_AUDIT_WRITE' });
    expect(done).toBe(0);
    audit.failure = undefined;
    await call('DeleteAgent', {});
    expect(done).toBe(1);
  });

  it('says as little as it can, and hides nothing behind the first of a batch', async () => {
    const [file = '', name = ''] = entryProto;
    const { audit, call } = serve(file, name, { BatchDeleteEntry: unary(() => ({})) });
    const ids = Array.from({ length: 1_000 }, (_, at) => `${at}-${'é'.repeat(500)}`);
    await call('BatchDeleteEntry', { ids });
    const texts = audit.events.map((event) => ('what' in event ? event.what : ''));
    for (const text of texts) expect(text.length).toBeLessThan(4_000);
    const all = texts.join(' ');
    expect(ids.filter((_, at) => !all.includes(`"${at}-é`))).toEqual([]);
    expect(audit.calls).toBe(1);
  });

  it('tells that an entry is an administrator, whatever else it says', async () => {
    const [file = '', name = ''] = entryProto;
    const { audit, call } = serve(file, name, { BatchCreateEntry: unary(() => ({})) });
    const selectors = Array.from({ length: 30 }, () => ({ type: 'a', value: 'x'.repeat(300) }));
    const spiffe_id = { trust_domain: 'a.test', path: `/${'y'.repeat(1_500)}` };
    await call('BatchCreateEntry', {
      entries: [
        { id: 'z'.repeat(255), spiffe_id, selectors, hint: 'h'.repeat(1_000), admin: true },
      ],
    });
    expect(audit.events).toMatchObject([{ what: expect.stringContaining('"admin":true') }]);
  });

  it('knows every method by the name it has', () => {
    const files: Record<string, string> = {};
    for (const service of Object.keys(auditedMethods)) {
      const folder = service.split('.').slice(0, -1).join('/');
      const short = service.split('.').at(-1)?.replace('Service', '').toLowerCase() ?? '';
      files[service] = `${folder}/${short}.proto`;
    }
    for (const [service, methods] of Object.entries(auditedMethods)) {
      const definition = loadService(files[service] ?? '', service);
      expect(Object.keys(definition)).toEqual(expect.arrayContaining(Object.keys(methods)));
    }
  });
});
