import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { foreignBundle } from '../../test/fakes/open-federation.ts';
import { csrFor, csrWithoutId, openFleet } from '../../test/fakes/open-fleet.ts';
import { testDraft } from '../../test/fakes/test-entries.ts';
import { generateP256KeyPair, parseX509Svid, SpiffeId, verifyX509Svid } from '../spiffe/index.ts';
import { ERROR_CODE_KEY, messageType } from '../wire/index.ts';
import { attestationLimits, type NodeAttestor } from './attest-agent.ts';

const TOKEN = 'a-token-of-sixteen';
const params = (payload: Uint8Array, csr: Uint8Array, type = 'join_token') => ({
  params: { data: { type, payload }, params: { csr } },
});
const keyed = () => csrWithoutId(generateP256KeyPair());

/** A refusal with a gRPC status and one of trustplane's codes. */
const refused = (code: status, own: string) =>
  expect.objectContaining({ code, metadata: hasCode(own) });
const hasCode = (own: string) =>
  expect.toSatisfy(
    (metadata: { get(key: string): unknown[] }) => metadata.get(ERROR_CODE_KEY)[0] === own,
    own,
  );
const denied = (own: string) => refused(status.PERMISSION_DENIED, own);

/** The reason that SPIRE's agents read of a refusal. */
function reasonOf(error: unknown): unknown {
  const metadata: unknown = Reflect.get(Object(error), 'metadata');
  const get: unknown = Reflect.get(Object(metadata), 'get');
  if (typeof get !== 'function') throw new Error('no metadata');
  const [bytes]: unknown[] = Reflect.apply(get, metadata, ['grpc-status-details-bin']);
  if (!(bytes instanceof Uint8Array)) return undefined;
  const sent = messageType('google/rpc/status.proto', 'google.rpc.Status').decode(bytes).toJSON();
  const [any] = sent['details'];
  const type = messageType(
    'spire/api/types/status.proto',
    'spire.api.types.PermissionDeniedDetails',
  );
  expect(any.type_url).toBe('type.googleapis.com/spire.api.types.PermissionDeniedDetails');
  return type.decode(Buffer.from(any.value, 'base64')).toJSON()['reason'];
}
const failureOf = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => undefined,
    (error: unknown) => error,
  );

/** Asks as many challenges as its payload says, and lets in those that answer each. */
const quiz: NodeAttestor = {
  name: 'quiz',
  async attest(payload, challenge) {
    for (let round = 0; round < Number(Buffer.from(payload).toString()); round++) {
      const answer = await challenge(Buffer.from(`q${round}`));
      if (Buffer.from(answer).toString() !== `a${round}`) throw new Error('a wrong answer');
    }
    return { agentPath: '/spire/agent/quiz/one', selectors: [], canReattest: true };
  },
};

describe('AttestAgent with a join token', () => {
  it('gives out an SVID of the key that was asked for', async () => {
    const { dial, tokens, trustMap, clock, agents } = await openFleet();
    await tokens.create({ ttlSeconds: 60, token: TOKEN });
    const keys = generateP256KeyPair();
    const agent = await dial().attest('join_token', Buffer.from(TOKEN), keys);
    expect(agent.id).toBe(`spiffe://a.test/spire/agent/join_token/${TOKEN}`);
    const svid = parseX509Svid(agent.certificateChain);
    verifyX509Svid(svid, trustMap.current().own, clock.now());
    expect(svid.spiffeId.toString()).toBe(agent.id);
    expect(Buffer.from(svid.leaf.publicKey)).toEqual(Buffer.from(keys.publicKey));
    expect(agents.get(svid.spiffeId)).toMatchObject({
      attestationType: 'join_token',
      canReattest: false,
      svid: { serialNumber: svid.leaf.serialNumber },
    });
  });

  it('takes a token once', async () => {
    const { dial, tokens, agents } = await openFleet();
    await tokens.create({ ttlSeconds: 60, token: TOKEN });
    await dial().attest('join_token', Buffer.from(TOKEN));
    await expect(dial().attest('join_token', Buffer.from(TOKEN))).rejects.toEqual(
      refused(status.INVALID_ARGUMENT, 'ERR_JOIN_TOKEN_UNUSABLE'),
    );
    expect(agents.count()).toBe(1);
  });

  it('lets one in of 100 that come at once with the same token', async () => {
    const { dial, tokens, agents } = await openFleet();
    await tokens.create({ ttlSeconds: 60, token: TOKEN });
    const attempts = Array.from({ length: 100 }, () =>
      dial().attest('join_token', Buffer.from(TOKEN)),
    );
    const outcomes = await Promise.allSettled(attempts);
    const losers = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(losers).toHaveLength(99);
    for (const { reason } of losers) {
      expect(reason).toEqual(refused(status.INVALID_ARGUMENT, 'ERR_JOIN_TOKEN_UNUSABLE'));
    }
    expect(agents.count()).toBe(1);
  });

  it('makes what the token says the agent is known as an entry below it', async () => {
    const { join, entries, dial } = await openFleet();
    const agent = await join('spiffe://a.test/node/7');
    await entries.create(testDraft('web', undefined, { parentId: 'spiffe://a.test/node/7' }));
    expect(await dial(agent).call('Entry.GetAuthorizedEntries')).toMatchObject({
      entries: expect.toSatisfy((list: { spiffe_id: { path: string } }[]) =>
        ['/node/7', '/web'].every((path) => list.some((entry) => entry.spiffe_id.path === path)),
      ),
    });
  });

  it.each([
    [
      'the key of another',
      () => {
        const { publicKey } = generateP256KeyPair();
        return csrWithoutId({ ...generateP256KeyPair(), publicKey });
      },
      'ERR_CSR_SIGNATURE',
    ],
    ['no request', () => new Uint8Array(), 'ERR_DER'],
    ['garbage', () => Buffer.from('garbage'), 'ERR_DER'],
    ['over 16 KiB', () => new Uint8Array(16_385), 'ERR_DER'],
    ['the ID of a workload', () => csrFor('spiffe://a.test/web'), 'ERR_API_CSR_ID'],
    ['the ID of the server', () => csrFor('spiffe://a.test/spire/server'), 'ERR_API_CSR_ID'],
    [
      'an agent of another trust domain',
      () => csrFor(`spiffe://b.test/spire/agent/join_token/${TOKEN}`),
      'ERR_API_CSR_ID',
    ],
  ])('refuses a request with %s before the token is spent', async (_, makeCsr, code) => {
    const { dial, tokens } = await openFleet();
    await tokens.create({ ttlSeconds: 60, token: TOKEN });
    const attempt = dial().attest('join_token', Buffer.from(TOKEN), undefined, makeCsr());
    await expect(attempt).rejects.toEqual(refused(status.INVALID_ARGUMENT, code));
    await expect(dial().attest('join_token', Buffer.from(TOKEN))).resolves.toBeDefined();
  });

  it('gives no SVID for the ID of another agent', async () => {
    const { dial, tokens, agents } = await openFleet();
    await tokens.create({ ttlSeconds: 60, token: TOKEN });
    const csr = csrFor('spiffe://a.test/spire/agent/join_token/another');
    const attempt = dial().attest('join_token', Buffer.from(TOKEN), undefined, csr);
    await expect(attempt).rejects.toEqual(refused(status.INVALID_ARGUMENT, 'ERR_API_CSR_ID'));
    expect(agents.count()).toBe(0);
  });
});

describe('AttestAgent with challenges', () => {
  it('asks until the attestor is content, and again of who may attest again', async () => {
    const { dial } = await openFleet({ attestors: [quiz] });
    for (let attempt = 0; attempt < 2; attempt++) {
      const stream = dial().stream('Agent.AttestAgent');
      stream.send(params(Buffer.from('2'), keyed(), 'quiz'));
      for (const round of [0, 1]) {
        expect(await stream.read()).toMatchObject({ challenge: Buffer.from(`q${round}`) });
        stream.send({ challenge_response: Buffer.from(`a${round}`) });
      }
      expect(await stream.read()).toMatchObject({
        result: { reattestable: true, svid: { id: { path: '/spire/agent/quiz/one' } } },
      });
      expect(await stream.read()).toBeUndefined();
    }
  });

  it.each([
    [
      'an answer that is too large',
      { challenge_response: new Uint8Array(65_537) },
      'ERR_API_REQUEST',
    ],
    ['parameters once more', params(Buffer.from('1'), keyed(), 'quiz'), 'ERR_API_ATTEST_STEP'],
    ['nothing', {}, 'ERR_API_ATTEST_STEP'],
  ])('refuses %s', async (_, answer, code) => {
    const { dial, agents } = await openFleet({ attestors: [quiz] });
    const stream = dial().stream('Agent.AttestAgent');
    stream.send(params(Buffer.from('1'), keyed(), 'quiz'));
    await stream.read();
    stream.send(answer);
    await expect(stream.read()).rejects.toEqual(refused(status.INVALID_ARGUMENT, code));
    expect(agents.count()).toBe(0);
  });

  it('refuses who ends the stream, or is asked too often', async () => {
    const { dial } = await openFleet({ attestors: [quiz] });
    const ending = dial().stream('Agent.AttestAgent');
    ending.send(params(Buffer.from('1'), keyed(), 'quiz'));
    await ending.read();
    ending.end();
    const step = refused(status.INVALID_ARGUMENT, 'ERR_API_ATTEST_STEP');
    await expect(ending.read()).rejects.toEqual(step);
    const endless = dial().stream('Agent.AttestAgent');
    endless.send(params(Buffer.from('1000'), keyed(), 'quiz'));
    for (let round = 0; round < attestationLimits.challenges; round++) {
      await endless.read();
      endless.send({ challenge_response: Buffer.from(`a${round}`) });
    }
    await expect(endless.read()).rejects.toEqual(step);
  });

  it('ends after 30 seconds', async () => {
    const { dial, clock } = await openFleet({ attestors: [quiz] });
    const stream = dial().stream('Agent.AttestAgent');
    stream.send(params(Buffer.from('1'), keyed(), 'quiz'));
    await stream.read();
    clock.advance(attestationLimits.durationMs);
    await expect(stream.read()).rejects.toEqual(refused(status.ABORTED, 'ERR_API_ATTEST_TIME'));
  });

  it.each([
    ['another attestor', params(Buffer.from('x'), keyed(), 'aws_iid'), 'ERR_API_ATTEST_TYPE'],
    ['no attestor', params(Buffer.from('x'), keyed(), ''), 'ERR_API_REQUEST'],
    ['too large a payload', params(new Uint8Array(131_073), keyed()), 'ERR_API_REQUEST'],
    ['an answer to nothing', { challenge_response: Buffer.from('a') }, 'ERR_API_ATTEST_STEP'],
  ])('refuses %s', async (_, message, code) => {
    const { dial } = await openFleet();
    const stream = dial().stream('Agent.AttestAgent');
    stream.send(message);
    await expect(stream.read()).rejects.toEqual(refused(status.INVALID_ARGUMENT, code));
  });
});

describe('what an agent may do', () => {
  it('is nothing without an SVID', async () => {
    const { dial } = await openFleet();
    const nobody = dial();
    for (const method of agentMethods) {
      await expect(nobody.call(method)).rejects.toEqual(denied('ERR_API_CALLER'));
    }
    for (const method of adminMethods) {
      await expect(nobody.call(method)).rejects.toEqual(denied('ERR_API_CALLER'));
    }
    expect(await nobody.call('Bundle.GetBundle')).toMatchObject({ trust_domain: 'a.test' });
  });

  it('is nothing with the SVID of a workload, or of an agent nobody attested', async () => {
    const { dial, issueIdentity } = await openFleet();
    const workload = dial(await issueIdentity('spiffe://a.test/web'));
    const stranger = dial(await issueIdentity('spiffe://a.test/spire/agent/x509pop/1'));
    for (const method of agentMethods) {
      await expect(workload.call(method)).rejects.toEqual(denied('ERR_API_CALLER'));
      const failure = await failureOf(stranger.call(method));
      expect(failure).toEqual(denied('ERR_AGENT_NOT_ATTESTED'));
      expect(reasonOf(failure)).toBe('AGENT_NOT_ATTESTED');
    }
  });

  it('is nothing an administrator alone may do', async () => {
    const { dial, join } = await openFleet();
    const agent = dial(await join());
    for (const method of adminMethods) {
      await expect(agent.call(method)).rejects.toEqual(denied('ERR_API_CALLER'));
    }
  });

  it('is nothing once it is banned, also on a connection that is open', async () => {
    const { dial, join, agents } = await openFleet();
    const identity = await join();
    const agent = dial(identity);
    await agent.call('Entry.GetAuthorizedEntries');
    await agents.ban(SpiffeId.parse(identity.id));
    for (const client of [agent, dial(identity)]) {
      for (const method of agentMethods) {
        const failure = await failureOf(client.call(method));
        expect(failure).toEqual(denied('ERR_AGENT_BANNED'));
        expect(reasonOf(failure)).toBe('AGENT_BANNED');
      }
      const sync = client.stream('Entry.SyncAuthorizedEntries');
      sync.send({});
      await expect(sync.read()).rejects.toEqual(denied('ERR_AGENT_BANNED'));
    }
  });

  it('is to see the bundles of foreign trust domains, as an administrator is', async () => {
    const { dial, join, issueIdentity, entries, foreignBundles } = await openFleet();
    await foreignBundles.set(foreignBundle('b.test'));
    await entries.create(testDraft('ops', undefined, { admin: true }));
    const admin = await issueIdentity('spiffe://a.test/ops');
    for (const identity of [await join(), admin]) {
      const shown = await dial(identity).call('Bundle.GetFederatedBundle', {
        trust_domain: 'b.test',
      });
      expect(shown).toMatchObject({ trust_domain: 'b.test', x509_authorities: [{}] });
    }
  });

  it('does not come back by attesting while it is banned', async () => {
    const { dial, agents } = await openFleet({ attestors: [quiz] });
    const { id } = await dial().attest('quiz', Buffer.from('0'));
    await agents.ban(SpiffeId.parse(id));
    const failure = await failureOf(dial().attest('quiz', Buffer.from('0')));
    expect(reasonOf(failure)).toBe('AGENT_BANNED');
  });

  it('does not come back by another form of its evidence while it is suspended', async () => {
    const other: NodeAttestor = {
      name: 'twin',
      attest: async () => ({
        agentPath: '/spire/agent/twin/two',
        twinPath: '/spire/agent/quiz/one',
        selectors: [],
        canReattest: true,
      }),
    };
    const { dial, agents, revocations } = await openFleet({ attestors: [quiz, other] });
    const { id } = await dial().attest('quiz', Buffer.from('0'));
    const subject = { kind: 'agent', value: id, reason: '', by: '' } as const;
    await revocations.suspensions.suspend(subject);
    await agents.delete(SpiffeId.parse(id));
    const failure = await failureOf(dial().attest('twin', Buffer.from('0')));
    expect(failure).toEqual(denied('ERR_AGENT_SUSPENDED'));
    expect(agents.all).toEqual([]);
    await revocations.suspensions.lift(subject);
    await expect(dial().attest('twin', Buffer.from('0'))).resolves.toBeDefined();
  });

  it('is nothing with an SVID that another has replaced', async () => {
    const { dial } = await openFleet({ attestors: [quiz] });
    const former = await dial().attest('quiz', Buffer.from('0'));
    const agent = dial(former);
    await agent.call('Agent.PostStatus');
    const present = await dial().attest('quiz', Buffer.from('0'));
    const failure = await failureOf(agent.call('Agent.PostStatus'));
    expect(failure).toEqual(denied('ERR_AGENT_NOT_ACTIVE'));
    expect(reasonOf(failure)).toBe('AGENT_NOT_ACTIVE');
    await expect(dial(present).call('Agent.PostStatus')).resolves.toEqual({});
  });
});

describe('RenewAgent', () => {
  it('gives out the next SVID; its use ends the one before', async () => {
    const { dial, join } = await openFleet();
    const identity = await join();
    const keys = generateP256KeyPair();
    const renew = () =>
      dial(identity).call('Agent.RenewAgent', { params: { csr: csrWithoutId(keys) } });
    const { svid } = Object(await renew());
    const renewed = { certificateChain: svid.cert_chain, privateKey: keys.privateKey };
    await expect(dial(identity).call('Agent.PostStatus')).resolves.toEqual({});
    await expect(dial(renewed).call('Agent.PostStatus')).resolves.toEqual({});
    await expect(dial(identity).call('Agent.PostStatus')).rejects.toEqual(
      denied('ERR_AGENT_NOT_ACTIVE'),
    );
  });

  it('sends who may attest again to do so', async () => {
    const { dial } = await openFleet({ attestors: [quiz] });
    const agent = dial(await dial().attest('quiz', Buffer.from('0')));
    const failure = await failureOf(agent.call('Agent.RenewAgent', { params: { csr: keyed() } }));
    expect(failure).toEqual(denied('ERR_AGENT_MUST_REATTEST'));
    expect(reasonOf(failure)).toBe('AGENT_MUST_REATTEST');
  });

  it('gives no SVID for the ID of another agent', async () => {
    const { dial, join } = await openFleet();
    const agent = dial(await join());
    const csr = csrFor('spiffe://a.test/spire/agent/join_token/another');
    await expect(agent.call('Agent.RenewAgent', { params: { csr } })).rejects.toEqual(
      refused(status.INVALID_ARGUMENT, 'ERR_API_CSR_ID'),
    );
  });
});

describe('administrators', () => {
  it('are workloads with an admin entry, as long as it stands', async () => {
    const { dial, entries, issueIdentity, join } = await openFleet();
    const agent = await join();
    const { entry } = await entries.create(testDraft('ops', undefined, { admin: true }));
    const admin = dial(await issueIdentity('spiffe://a.test/ops'));
    expect(await admin.call('Agent.CountAgents')).toEqual({ count: 1 });
    await expect(admin.call('Agent.PostStatus')).rejects.toEqual(denied('ERR_API_CALLER'));
    const path = new URL(agent.id).pathname;
    const id = { trust_domain: 'a.test', path };
    await dial(agent).call('Agent.PostStatus', { agent_version: '1.2.3' });
    expect(await admin.call('Agent.GetAgent', { id })).toMatchObject({
      id,
      attestation_type: 'join_token',
      agent_version: '1.2.3',
      x509svid_serial_number: expect.stringMatching(/^[1-9][0-9]{20,}$/u),
    });
    expect(
      await admin.call('Agent.ListAgents', {
        filter: { by_banned: { value: false }, by_attestation_type: 'join_token' },
        output_mask: { banned: true },
      }),
    ).toMatchObject({ agents: [{ id, banned: false }], next_page_token: '' });
    const before = { by_expires_before: '2026-01-01 00:00:00 +0000 +00' };
    expect(await admin.call('Agent.CountAgents', { filter: before })).toEqual({ count: 0 });
    const late = { by_expires_before: '2026-01-03 00:00:00 -0700 -07' };
    expect(await admin.call('Agent.CountAgents', { filter: late })).toEqual({ count: 1 });
    await expect(
      admin.call('Agent.CountAgents', { filter: { by_expires_before: 'soon' } }),
    ).rejects.toEqual(refused(status.INVALID_ARGUMENT, 'ERR_API_REQUEST'));
    await admin.call('Agent.DeleteAgent', { id });
    await expect(dial(agent).call('Agent.PostStatus')).rejects.toEqual(
      denied('ERR_AGENT_NOT_ATTESTED'),
    );
    await expect(admin.call('Agent.BanAgent', { id })).rejects.toEqual(
      refused(status.NOT_FOUND, 'ERR_AGENT_NOT_FOUND'),
    );
    await entries.delete(entry.id);
    await expect(admin.call('Agent.CountAgents')).rejects.toEqual(denied('ERR_API_CALLER'));
  });

  it('are none with an SVID that was revoked, though their entry is made again', async () => {
    const { clock, dial, entries, issueIdentity, revocations } = await openFleet();
    await entries.create(testDraft('ops', undefined, { admin: true }));
    const stolen = dial(await issueIdentity('spiffe://a.test/ops'));
    expect(await stolen.call('Agent.CountAgents')).toEqual({ count: 0 });
    clock.advance(1_000);
    await revocations.add({
      kind: 'spiffe-id',
      value: 'spiffe://a.test/ops',
      issuedBefore: clock.now(),
      expiresAt: clock.now() + 3_600_000,
      reason: 'the last entry of the ID went',
    });
    await expect(stolen.call('Agent.CountAgents')).rejects.toEqual(denied('ERR_API_CALLER'));
    const admin = dial(await issueIdentity('spiffe://a.test/ops'));
    expect(await admin.call('Agent.CountAgents')).toEqual({ count: 0 });
  });

  it('make join tokens', async () => {
    const { dial, entries, issueIdentity } = await openFleet();
    await entries.create(testDraft('ops', undefined, { admin: true }));
    const admin = dial(await issueIdentity('spiffe://a.test/ops'));
    const { value } = Object(await admin.call('Agent.CreateJoinToken', { ttl: 60 }));
    await expect(dial().attest('join_token', Buffer.from(value))).resolves.toBeDefined();
    await expect(admin.call('Agent.CreateJoinToken', { ttl: 0 })).rejects.toEqual(
      refused(status.INVALID_ARGUMENT, 'ERR_JOIN_TOKEN_TTL'),
    );
  });
});

const agentMethods = [
  'Agent.RenewAgent',
  'Agent.PostStatus',
  'Bundle.GetFederatedBundle',
  'Entry.GetAuthorizedEntries',
  'SVID.BatchNewX509SVID',
] as const;
const adminMethods = [
  'Agent.CountAgents',
  'Agent.ListAgents',
  'Agent.GetAgent',
  'Agent.DeleteAgent',
  'Agent.BanAgent',
  'Agent.CreateJoinToken',
  'Bundle.CountBundles',
  'Bundle.AppendBundle',
  'Bundle.ListFederatedBundles',
  'Bundle.BatchCreateFederatedBundle',
  'Bundle.BatchUpdateFederatedBundle',
  'Bundle.BatchSetFederatedBundle',
  'Bundle.BatchDeleteFederatedBundle',
  'Entry.CountEntries',
  'Entry.ListEntries',
  'Entry.GetEntry',
  'Entry.BatchCreateEntry',
  'Entry.BatchUpdateEntry',
  'Entry.BatchDeleteEntry',
  'SVID.MintX509SVID',
  'TrustDomain.ListFederationRelationships',
  'TrustDomain.GetFederationRelationship',
  'TrustDomain.BatchCreateFederationRelationship',
  'TrustDomain.BatchUpdateFederationRelationship',
  'TrustDomain.BatchDeleteFederationRelationship',
  'TrustDomain.RefreshBundle',
] as const;
