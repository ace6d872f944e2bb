import { describe, expect, it } from 'vitest';
import { openExplainWorld } from '../../test/fakes/explain-world.ts';
import { testDraft } from '../../test/fakes/test-entries.ts';
import { parseEntryQuestion, parseExplainRequest } from './explain-messages.ts';
import { createAgentExplainService } from './explain-service.ts';
import { requireAdmin } from './require-admin.ts';

describe('AgentExplain', () => {
  it('answers the own user and root alone', async () => {
    let uid = 1_000;
    const service = requireAdmin(
      createAgentExplainService({ explain: () => Promise.resolve([]) }),
      1_000,
      () => uid,
    );
    const ask = async (): Promise<unknown> => {
      const answer = Promise.withResolvers<unknown>();
      const respond = (_error: unknown, message: unknown): void => answer.resolve(message);
      const call = { getPeer: () => '', request: { pids: [1] } };
      await Reflect.apply(service.implementation['Explain'] ?? (() => {}), undefined, [
        call,
        respond,
      ]);
      return await answer.promise;
    };
    expect(await ask()).toEqual({ explanations: [] });
    uid = 0;
    expect(await ask()).toEqual({ explanations: [] });
    uid = 1_001;
    await expect(ask()).rejects.toMatchObject({
      code: 'ERR_API_ADMIN',
      message: 'only user 1000 and root are admitted; the caller is user 1001',
    });
  });

  it.each([
    ['nothing', {}],
    ['two subjects', { pids: [1], envoy_node_id: 'a' }],
    ['no process', { pids: [0] }],
    ['33 processes', { pids: Array.from({ length: 33 }, (_, index) => index + 1) }],
    ['part of a container ID', { container_id: '3f4e' }],
    ['a long name', { envoy_node_id: 'a', resource_name: 'x'.repeat(2_049) }],
  ])('refuses a question about %s', (_what, request) => {
    expect(() => parseExplainRequest(request)).toThrow(
      expect.objectContaining({ code: 'ERR_API_REQUEST' }),
    );
  });

  it('refuses an ID that is none', () => {
    expect(() => parseExplainRequest({ spiffe_id: 'spiffe://a.test/a/' })).toThrow(
      expect.objectContaining({ code: 'ERR_SPIFFE_ID_PATH' }),
    );
  });
});

describe('Explain', () => {
  it.each([
    ['nothing', {}, 'ERR_API_REQUEST'],
    [
      '1,001 selectors',
      { selectors: Array.from({ length: 1_001 }, () => 'a:b') },
      'ERR_API_REQUEST',
    ],
    ['a malformed selector', { selectors: ['unix'] }, 'ERR_SELECTOR'],
  ])('refuses a question with %s', (_what, request, code) => {
    expect(() => parseEntryQuestion(request)).toThrow(expect.objectContaining({ code }));
  });
});

describe('Explain of a serial number', () => {
  const serialNumber = '019b76daa800c85ea081e413981215e7';
  const spiffeId = 'spiffe://a.test/web';

  async function open() {
    const world = await openExplainWorld();
    const { clock, audit, registryOfRevocations, agentId } = world;
    await audit.record([
      {
        kind: 'x509-svid',
        serialNumber,
        spiffeId,
        entryId: 'web',
        issuedAt: clock.now(),
        expiresAt: clock.now() + 3_600_000,
        authorityId: 'a1',
        requester: { kind: 'agent', spiffeId: agentId.toString() },
        purpose: 'workload',
      },
    ]);
    const ask = async (serial_number = serialNumber) =>
      (await world.whatIf({ serial_number })).explanations[0];
    const revoke = async (kind: 'serial' | 'agent', value: string): Promise<void> => {
      const issuedBefore = clock.now() + 1;
      const said = { reason: 'the host was taken', by: 'user root' };
      const draft = { kind, value, issuedBefore, expiresAt: issuedBefore + 7_200_000, ...said };
      await registryOfRevocations.add(draft);
    };
    return { ...world, ask, revoke };
  }

  it('tells who got it, as the ledger says, and that it is good until it ends', async () => {
    const { ask, clock, agentId } = await open();
    const colons = serialNumber.toUpperCase().replaceAll(/..(?=.)/gu, '$&:');
    const text = `issued to ${spiffeId} (workload), of the entry web, got by ${agentId.toString()}`;
    expect(await ask(colons)).toMatchObject({
      verdict: 'entitled',
      findings: [{ code: 'serial-good', entry_id: 'web', spiffe_id: spiffeId }],
      facts: [{ source: 'ledger', text: expect.stringContaining(text) }],
    });
    clock.advance(3_600_000);
    expect(await ask()).toMatchObject({
      verdict: 'refused',
      findings: [{ code: 'serial-expired' }],
    });
  });

  it.each(['serial', 'agent'] as const)('tells who revoked its %s, and why', async (kind) => {
    const { ask, revoke, agentId, suspensions } = await open();
    const value = kind === 'serial' ? serialNumber.replace(/^0/u, '') : agentId.toString();
    await revoke(kind, value);
    const said = `(the ${kind} ${value}) is refused, by user root: the host was taken`;
    expect(await ask()).toMatchObject({
      verdict: 'refused',
      findings: [{ code: 'serial-revoked', message: expect.stringContaining(said) }],
    });
    await suspensions.suspend({ kind: 'agent', value: agentId.toString(), reason: 'x', by: 'me' });
    expect(await ask()).toMatchObject({
      facts: [
        { source: 'ledger' },
        { text: expect.stringMatching(/is suspended since .* by me/u) },
      ],
    });
  });

  it('tells of one that the ledger does not have, revoked or not', async () => {
    const { ask, revoke } = await open();
    expect(await ask('beef')).toMatchObject({
      verdict: 'refused',
      findings: [{ code: 'serial-unknown' }],
    });
    await revoke('serial', 'beef');
    expect(await ask('00BEEF')).toMatchObject({ findings: [{ code: 'serial-revoked' }] });
  });

  it('refuses what is none, and other questions beside it', async () => {
    const { whatIf } = await openExplainWorld();
    const other = { serial_number: serialNumber, spiffe_id: spiffeId };
    for (const question of [{ serial_number: 'xyz' }, { serial_number: 'a'.repeat(41) }, other]) {
      await expect(whatIf(question)).rejects.toMatchObject({ code: 'ERR_API_REQUEST' });
    }
  });

  it('and of an ID: what was issued before is refused, by whom and why', async () => {
    const { whatIf, entries, revoke, agentId } = await open();
    const parentId = agentId.toString();
    await entries.create(testDraft('web', undefined, { id: 'web', parentId }));
    await revoke('agent', agentId.toString());
    const question = { spiffe_id: spiffeId, agent_id: agentId.toString() };
    const [explained] = (await whatIf(question)).explanations;
    expect(explained?.findings).toMatchObject([
      { code: 'revoked-before', message: expect.stringContaining('by user root: the host was') },
      { code: 'entitled' },
    ]);
    expect(explained?.verdict).toBe('entitled');
    const [elsewhere] = (await whatIf({ spiffe_id: spiffeId })).explanations;
    expect(elsewhere?.findings).toMatchObject([{ code: 'entitled' }]);
  });
});
