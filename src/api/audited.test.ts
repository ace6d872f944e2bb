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

describe('audited', () => {
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

  it('says little of much', async () => {
    const [file = '', name = ''] = entryProto;
    const { audit, call } = serve(file, name, { BatchDeleteEntry: unary(() => ({})) });
    await call('BatchDeleteEntry', { ids: Array.from({ length: 10_000 }, () => 'é'.repeat(500)) });
    const [event] = audit.events;
    expect(JSON.stringify(event).length).toBeLessThan(4_000);
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
