import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { settle } from '../../test/fakes/fake-clock.ts';
import { csrFor, csrWithoutId, type FleetClient, openFleet } from '../../test/fakes/open-fleet.ts';
import { testDraft } from '../../test/fakes/test-entries.ts';
import {
  formatSelector,
  generateP256KeyPair,
  issueInstant,
  parseCertificate,
  parseSelector,
  SelectorSet,
  SpiffeId,
  TrustplaneError,
  workloadGroupOf,
} from '../spiffe/index.ts';
import { ERROR_CODE_KEY } from '../wire/index.ts';

const WEB = 'spiffe://a.test/web';
const web = SpiffeId.parse(WEB);
const refused = (code: string) =>
  expect.objectContaining({
    metadata: expect.toSatisfy(
      (metadata: { get(key: string): unknown[] }) => metadata.get(ERROR_CODE_KEY)[0] === code,
      code,
    ),
  });
const keyed = () => csrWithoutId(generateP256KeyPair());
const path = (id: string) => ({ trust_domain: 'a.test', path: SpiffeId.parse(id).path });

/** A fleet with an agent, an entry of it, and an administrator. */
async function open() {
  const fleet = await openFleet({ pushes: true });
  const { entries, clock } = fleet;
  const agent = await fleet.join();
  const parentId = agent.id;
  const { entry } = await entries.create(testDraft('web', undefined, { id: 'web', parentId }));
  await entries.create(testDraft('ops', undefined, { id: 'ops', parentId, admin: true }));
  const admin = fleet.dial(await fleet.issueIdentity('spiffe://a.test/ops'));
  const host = fleet.dial(agent);
  clock.advance(5);
  return {
    ...fleet,
    entry,
    agent,
    admin,
    host,
    sign: (entryId = 'web') => sign(host, entryId),
    revoke: (request: object): Promise<unknown> => admin.call('Revocations.Revoke', request),
    unsuspend: (subject: object): Promise<unknown> =>
      admin.call('Revocations.Unsuspend', { subject, reason: 'it is well' }),
  };
}

async function sign(host: FleetClient, entry_id: string): Promise<unknown> {
  const { results } = Object(
    await host.call('SVID.BatchNewX509SVID', { params: [{ entry_id, csr: keyed() }] }),
  );
  return results[0];
}

function leafOf(result: unknown) {
  return parseCertificate(Object(result).svid.cert_chain[0]);
}

const signed = { status: { code: status.OK } };
const notSigned = {
  status: { code: status.PERMISSION_DENIED, message: expect.stringContaining('suspended') },
};

describe('revoking', () => {
  it.each([
    ['an entry', { entry_id: 'web' }, ['entry', 'spiffe-id']],
    ['a SPIFFE ID', { spiffe_id: WEB }, ['spiffe-id']],
  ])(
    '%s refuses what was issued and issues nothing, until it is lifted',
    async (_, subject, kinds) => {
      const { revocations, clock, sign, revoke, unsuspend, host, admin } = await open();
      const { serialNumber, ...leaf } = leafOf(await sign());
      const answer = await revoke({ subject, reason: 'its key leaked' });
      expect(answer).toMatchObject({
        revocations: kinds.map((kind) => ({
          kind,
          reason: 'its key leaked',
          by: 'spiffe://a.test/ops',
          issued_before_ms: String(clock.now() + 1),
        })),
        suspension: { reason: 'its key leaked', by: 'spiffe://a.test/ops' },
        impact: { suspended_entries: 1, reissued_entries: 0, spiffe_ids: 1, agents: 1 },
      });
      const issuedAt = issueInstant({ serialNumber, ...leaf });
      expect(revocations.find({ spiffeId: web, issuedAt, serialNumber })).toBeDefined();
      clock.advance(1_000);
      expect(await sign()).toMatchObject(notSigned);
      const audience = ['x'];
      await expect(host.call('SVID.NewJWTSVID', { entry_id: 'web', audience })).rejects.toEqual(
        refused('ERR_SVID_SUSPENDED'),
      );
      expect(await sign('ops')).toMatchObject(signed);
      expect(await host.call('Entry.GetAuthorizedEntries', {})).toMatchObject({
        entries: [{ id: 'ops' }],
      });
      expect(await unsuspend(subject)).toMatchObject({
        suspension: { lifted: { reason: 'it is well', by: 'spiffe://a.test/ops' } },
        impact: { reissued_entries: 1, agents: 1 },
      });
      const later = leafOf(await sign());
      const again = { serialNumber: later.serialNumber, issuedAt: issueInstant(later) };
      expect(revocations.find({ spiffeId: web, ...again })).toBeUndefined();
      // What was revoked stays so.
      expect(revocations.find({ spiffeId: web, issuedAt, serialNumber })).toBeDefined();
      await expect(unsuspend(subject)).rejects.toEqual(refused('ERR_SUSPENSION_NOT_FOUND'));
      expect(await admin.call('Revocations.List', { active_only: true })).toMatchObject({
        suspensions: [],
        revocations: kinds.map((kind) => ({ kind })),
      });
    },
  );

  it('a SPIFFE ID refuses to mint for it, X.509 and JWT', async () => {
    const { revoke, admin, clock } = await open();
    await revoke({ subject: { spiffe_id: WEB } });
    clock.advance(1_000);
    const csr = csrFor(WEB);
    await expect(admin.call('SVID.MintX509SVID', { csr })).rejects.toEqual(
      refused('ERR_SVID_SUSPENDED'),
    );
    const jwt = { id: path(WEB), audience: ['x'] };
    await expect(admin.call('SVID.MintJWTSVID', jwt)).rejects.toEqual(
      refused('ERR_SVID_SUSPENDED'),
    );
  });

  it('an administrator, or a server below, shuts it out at once', async () => {
    const { revoke, entries, agent, dial, issueIdentity, admin, clock } = await open();
    const parentId = agent.id;
    await entries.create(
      testDraft('below', undefined, { id: 'below', parentId, downstream: true }),
    );
    const csr = csrFor('spiffe://a.test');
    const below = await issueIdentity('spiffe://a.test/below');
    expect(await dial(below).call('SVID.NewDownstreamX509CA', { csr })).toBeDefined();
    await revoke({ subject: { entry_id: 'below' } });
    clock.advance(1_000);
    const later = dial(await issueIdentity('spiffe://a.test/below'));
    await expect(later.call('SVID.NewDownstreamX509CA', { csr })).rejects.toEqual(
      refused('ERR_SVID_SUSPENDED'),
    );
    await expect(dial(below).call('SVID.NewDownstreamX509CA', { csr })).rejects.toEqual(
      refused('ERR_API_CALLER'),
    );
    await revoke({ subject: { spiffe_id: 'spiffe://a.test/ops' } });
    await expect(admin.call('Entry.CountEntries')).rejects.toEqual(refused('ERR_API_CALLER'));
    clock.advance(1_000);
    const again = dial(await issueIdentity('spiffe://a.test/ops'));
    await expect(again.call('Entry.CountEntries')).rejects.toEqual(refused('ERR_SVID_SUSPENDED'));
  });

  it('an entry has the others of its ID get new SVIDs', async () => {
    const { entries, revoke, sign, clock, agent } = await open();
    const more = testDraft('web', ['unix:uid:7'], { id: 'web-2', parentId: agent.id });
    await entries.create(more);
    expect(await revoke({ subject: { entry_id: 'web' } })).toMatchObject({
      impact: { suspended_entries: 1, reissued_entries: 1 },
    });
    clock.advance(2);
    expect([await sign('web'), await sign('web-2')]).toMatchObject([notSigned, signed]);
  });

  it('again does it again, with the later instant', async () => {
    const { revoke, revocations, clock } = await open();
    const subject = { spiffe_id: WEB };
    await revoke({ subject, reason: 'once' });
    const [first] = revocations.list();
    clock.advance(10);
    expect(await revoke({ subject, reason: 'twice' })).toMatchObject({
      suspension: { since_ms: String(clock.now() - 10), reason: 'twice' },
    });
    expect(revocations.list()).toMatchObject([{ issuedBefore: (first?.issuedBefore ?? 0) + 10 }]);
  });

  it('says in a dry run what it would do, and does nothing', async () => {
    const { revoke, revocations, sign } = await open();
    expect(await revoke({ subject: { entry_id: 'web' }, dry_run: true })).toEqual({
      revocations: [],
      impact: {
        suspended_entries: 1,
        reissued_entries: 0,
        spiffe_ids: 1,
        agents: 0,
        running_workloads: 0,
        running_agents: 0,
        silent_agents: 0,
      },
    });
    expect([revocations.list(), revocations.suspensions.facts()]).toEqual([[], []]);
    expect(await sign()).toMatchObject(signed);
  });

  it('counts the workloads that run with the identity, on each agent that may serve it', async () => {
    const { revoke, unsuspend, workloads, entries, agent, join, clock } = await open();
    const [other, third, silent] = [await join(), await join(), await join()];
    const parentId = other.id;
    await entries.create(testDraft('web', ['unix:uid:7'], { id: 'web-2', parentId }));
    const run = (id: string, shown: readonly string[], count: number) => ({
      id: SpiffeId.parse(id),
      group: workloadGroupOf(SelectorSet.of(shown.map(parseSelector)), count),
    });
    const ofWeb = testDraft('web').selectors.map(formatSelector);
    const reports = [
      run(agent.id, [...ofWeb, 'unix:gid:1'], 9),
      run(agent.id, ['unix:uid:7'], 100),
      run(other.id, ['unix:uid:7', 'unix:gid:7'], 5),
      run(third.id, [...ofWeb, 'unix:uid:7'], 1_000),
    ];
    for (const { id } of [agent, other, third, silent]) workloads.onConnected(SpiffeId.parse(id));
    for (const { id } of [agent, other, third]) {
      const groups = reports.filter((one) => one.id.toString() === id).map(({ group }) => group);
      workloads.onWorkloads(SpiffeId.parse(id), groups, id === third.id);
    }
    const counted = { running_workloads: 14, running_agents: 2, silent_agents: 2 };
    const subject = { spiffe_id: WEB };
    expect(await revoke({ subject, dry_run: true })).toMatchObject({ impact: counted });
    expect(await revoke({ subject })).toMatchObject({ impact: counted });
    clock.advance(1_000);
    expect(await revoke({ subject, dry_run: true })).toMatchObject({
      impact: { running_workloads: 0, running_agents: 0 },
    });
    expect(await unsuspend(subject)).toMatchObject({ impact: counted });
    const one = { entry_id: 'web-2' };
    expect(await revoke({ subject: one, dry_run: true })).toMatchObject({ impact: counted });
    const host = { agent_id: third.id };
    expect(await revoke({ subject: host, dry_run: true })).toMatchObject({
      impact: { running_workloads: 0 },
    });
  });

  it('to issue anew suspends nothing, and new SVIDs are good from the moment it is told', async () => {
    const { revoke, revocations, clock, sign, host } = await open();
    const old = leafOf(await sign());
    const isTold = Promise.withResolvers<void>();
    revocations.watch(() => isTold.resolve());
    const revoking = revoke({ subject: { spiffe_id: WEB }, reissue: true });
    await settle();
    for (let ms = 0; ms < 1_100 && revocations.list().length === 0; ms += 10) {
      await clock.advanceAsync(10);
    }
    expect(await revoking).not.toHaveProperty('suspension');
    await isTold.promise;
    const spiffeId = web;
    expect(revocations.find({ spiffeId, issuedAt: issueInstant(old) })).toBeDefined();
    const next = leafOf(await sign());
    expect(revocations.find({ spiffeId, issuedAt: issueInstant(next) })).toBeUndefined();
    const jwt = { entry_id: 'web', audience: ['x'] };
    const { svid } = Object(await host.call('SVID.NewJWTSVID', jwt));
    const issuedAt = Number(svid.issued_at) * 1_000;
    expect(revocations.find({ spiffeId, issuedAt })).toBeUndefined();
  });

  it('a serial number refuses that one SVID alone', async () => {
    const { revoke, revocations, sign, agent } = await open();
    const [one, other] = [leafOf(await sign()), leafOf(await sign())];
    const serial_number = one.serialNumber.toUpperCase().replaceAll(/..(?=.)/gu, '$&:');
    const holder = {
      spiffe_id: WEB,
      entry_id: 'web',
      agent_id: agent.id,
      purpose: 'workload',
      issued_at_ms: String(issueInstant(one)),
      expires_at_ms: String(one.notAfter),
    };
    const subject = { serial_number };
    expect(await revoke({ subject, dry_run: true })).toMatchObject({ holder, revocations: [] });
    expect(await revoke({ subject })).toMatchObject({
      impact: { suspended_entries: 0, agents: 0 },
      holder,
    });
    for (const { serialNumber, ...leaf } of [one, other]) {
      const issuedAt = issueInstant({ serialNumber, ...leaf });
      const found = revocations.find({ spiffeId: web, serialNumber, issuedAt });
      expect(found === undefined).toBe(serialNumber === other.serialNumber);
    }
    expect(await sign()).toMatchObject(signed);
  });
});

describe('a serial number that the ledger does not have', () => {
  it('is refused, though it looks like one of ours, unless it is forced', async () => {
    const { revoke, revocations, clock } = await open();
    const serial_number = `${clock.now().toString(16).padStart(12, '0')}${'7'.repeat(20)}`;
    const subject = { serial_number };
    await expect(revoke({ subject })).rejects.toEqual(refused('ERR_REVOCATION_UNKNOWN'));
    expect(revocations.list()).toEqual([]);
    expect(await revoke({ subject, force: true })).not.toHaveProperty('holder');
    expect(revocations.list()).toMatchObject([{ kind: 'serial' }]);
  });

  it('is in the way of nobody who forces it while the ledger cannot be read', async () => {
    const { revoke, revocations, sign, audit } = await open();
    const { serialNumber: serial_number } = leafOf(await sign());
    audit.findSerial = async () => {
      throw new TrustplaneError('ERR_AUDIT_DAMAGED', 'line 3 is torn');
    };
    const subject = { serial_number };
    await expect(revoke({ subject })).rejects.toEqual(refused('ERR_AUDIT_DAMAGED'));
    await revoke({ subject, force: true });
    expect(revocations.list()).toHaveLength(1);
  });
});

describe('revoking an agent', () => {
  async function hello(client: FleetClient) {
    const stream = client.stream('Sync.Sync');
    stream.send({ hello: { protocol_version: 1, agent_version: 'test' } });
    await stream.read();
    return stream;
  }

  it('ends its stream and its calls, and takes back what it got for workloads', async () => {
    const { revoke, unsuspend, revocations, host, agent, clock, sign, dial } = await open();
    await sign();
    const stream = await hello(host);
    const subject = { agent_id: agent.id };
    expect(await revoke({ subject, reason: 'the host was taken' })).toMatchObject({
      revocations: [{ kind: 'agent', value: agent.id }, {}, {}],
      suspension: { kind: 'agent', value: agent.id },
      impact: { suspended_entries: 2, spiffe_ids: 2, agents: 1 },
    });
    const drain = async (): Promise<void> => {
      while ((await stream.read()) !== undefined);
    };
    await expect(drain()).rejects.toEqual(refused('ERR_AGENT_SUSPENDED'));
    for (const id of [WEB, 'spiffe://a.test/ops']) {
      const subject = { spiffeId: SpiffeId.parse(id), issuedAt: clock.now() };
      expect(revocations.find(subject)).toBeDefined();
    }
    const calls = ['Entry.GetAuthorizedEntries', 'Agent.PostStatus', 'Agent.RenewAgent'] as const;
    for (const name of calls) {
      await expect(host.call(name)).rejects.toEqual(refused('ERR_AGENT_SUSPENDED'));
    }
    await expect(sign()).rejects.toEqual(refused('ERR_AGENT_SUSPENDED'));
    clock.advance(1_000);
    await revocations.suspensions.lift({ kind: 'agent', value: agent.id, reason: '', by: '' });
    // Its SVID stays revoked: it is to prove itself again.
    await expect(dial(agent).call('Agent.PostStatus')).rejects.toEqual(
      refused('ERR_AGENT_NOT_ACTIVE'),
    );
    await expect(unsuspend(subject)).rejects.toBeDefined();
  });

  it('that is banned takes back what it got, too', async () => {
    const { revoke, agents, agent } = await open();
    await agents.ban(SpiffeId.parse(agent.id));
    expect(await revoke({ subject: { agent_id: agent.id } })).toMatchObject({
      impact: { suspended_entries: 2 },
    });
  });

  it('keeps it from attesting', async () => {
    const { revocations, tokens, dial } = await open();
    const { token } = await tokens.create({ ttlSeconds: 60, token: 'a-token-of-sixteen' });
    const value = `spiffe://a.test/spire/agent/join_token/${token}`;
    await revocations.suspensions.suspend({ kind: 'agent', value, reason: '', by: '' });
    await expect(dial().attest('join_token', Buffer.from(token))).rejects.toEqual(
      refused('ERR_AGENT_SUSPENDED'),
    );
  });
});

describe('what cannot be revoked', () => {
  const subjects: readonly (readonly [object, string])[] = [
    [{}, 'ERR_REVOCATION_SUBJECT'],
    [{ spiffe_id: '' }, 'ERR_REVOCATION_SUBJECT'],
    [{ spiffe_id: 'web' }, 'ERR_REVOCATION_SUBJECT'],
    [{ spiffe_id: 'spiffe://a.test' }, 'ERR_REVOCATION_SUBJECT'],
    [{ spiffe_id: 'spiffe://b.test/web' }, 'ERR_REVOCATION_SUBJECT'],
    [{ spiffe_id: 'spiffe://a.test/spire/server' }, 'ERR_REVOCATION_SUBJECT'],
    [{ spiffe_id: 'spiffe://a.test/spire/agent/x/1' }, 'ERR_REVOCATION_SUBJECT'],
    [{ agent_id: WEB }, 'ERR_REVOCATION_SUBJECT'],
    [{ agent_id: 'spiffe://b.test/spire/agent/x/1' }, 'ERR_REVOCATION_SUBJECT'],
    [{ entry_id: '' }, 'ERR_REVOCATION_SUBJECT'],
    [{ entry_id: 'a b' }, 'ERR_REVOCATION_SUBJECT'],
    [{ serial_number: '' }, 'ERR_REVOCATION_SUBJECT'],
    [{ serial_number: '0' }, 'ERR_REVOCATION_SUBJECT'],
    [{ serial_number: '00:00' }, 'ERR_REVOCATION_SUBJECT'],
    [{ serial_number: '0x12' }, 'ERR_REVOCATION_SUBJECT'],
    [{ serial_number: '-1' }, 'ERR_REVOCATION_SUBJECT'],
    [{ serial_number: 'f'.repeat(41) }, 'ERR_REVOCATION_SUBJECT'],
    [{ serial_number: 'ab' }, 'ERR_REVOCATION_UNKNOWN'],
    [{ serial_number: 'f'.repeat(32) }, 'ERR_REVOCATION_UNKNOWN'],
    [{ spiffe_id: 'spiffe://a.test/wbe' }, 'ERR_REVOCATION_UNKNOWN'],
    [{ entry_id: 'wbe' }, 'ERR_REVOCATION_UNKNOWN'],
    [{ agent_id: 'spiffe://a.test/spire/agent/x/1' }, 'ERR_REVOCATION_UNKNOWN'],
  ];

  it('is told, each with its reason, and revokes nothing; what is unknown can be forced', async () => {
    const { revoke, revocations } = await open();
    for (const [subject, code] of subjects) {
      await expect(revoke({ subject })).rejects.toEqual(refused(code));
    }
    await expect(revoke({ subject: { entry_id: 'wbe' } })).rejects.toMatchObject({
      details: expect.stringContaining('(--force)'),
    });
    expect(revocations.list()).toEqual([]);
    const isUnknown = ([, code]: readonly [object, string]) => code === 'ERR_REVOCATION_UNKNOWN';
    for (const [subject, code] of subjects.filter((one) => !isUnknown(one))) {
      await expect(revoke({ subject, force: true })).rejects.toEqual(refused(code));
    }
    for (const [subject] of subjects.filter(isUnknown)) await revoke({ subject, force: true });
    expect(revocations.list()).toHaveLength(5);
    expect(revocations.suspensions.list()).toHaveLength(3);
  });

  it('are a reason that is too long, and a serial number that is to be given back', async () => {
    const { revoke, unsuspend } = await open();
    const reason = 'x'.repeat(2_049);
    await expect(revoke({ subject: { spiffe_id: WEB }, reason })).rejects.toEqual(
      refused('ERR_API_REQUEST'),
    );
    await expect(unsuspend({ serial_number: 'ab' })).rejects.toEqual(
      refused('ERR_REVOCATION_SUBJECT'),
    );
  });

  it('is anything, for who is no administrator', async () => {
    const { host, dial } = await open();
    const subject = { spiffe_id: WEB };
    for (const client of [host, dial()]) {
      for (const name of ['Revoke', 'Unsuspend', 'List'] as const) {
        await expect(client.call(`Revocations.${name}`, { subject })).rejects.toMatchObject({
          code: expect.toSatisfy((code: status) => code !== status.OK),
        });
      }
    }
  });
});

it('lists all pages of both facts', async () => {
  const { revoke, unsuspend, admin } = await open();
  for (const name of ['a', 'b', 'c']) {
    await revoke({ subject: { spiffe_id: `spiffe://a.test/${name}` }, force: true });
  }
  await unsuspend({ spiffe_id: 'spiffe://a.test/a' });
  const all: { revocations: unknown[]; suspensions: unknown[] }[] = [];
  let page_token = '';
  do {
    const page = Object(await admin.call('Revocations.List', { page_size: 2, page_token }));
    expect(page.revocations.length + page.suspensions.length).toBeLessThanOrEqual(2);
    all.push(page);
    page_token = page.next_page_token;
  } while (page_token !== '');
  expect(all).toHaveLength(3);
  expect(all.flatMap(({ revocations }) => revocations)).toHaveLength(3);
  expect(all.flatMap(({ suspensions }) => suspensions)).toHaveLength(3);
  expect(await admin.call('Revocations.List', { active_only: true })).toMatchObject({
    revocations: [{}, {}, {}],
    suspensions: [{}, {}],
  });
});

it('an SVID that is signed while its ID is revoked is refused', async () => {
  const { sign, revoke, revocations } = await open();
  const acts = Array.from({ length: 20 }, () => sign());
  const revoking = revoke({ subject: { spiffe_id: WEB } });
  const results = await Promise.all([...acts, ...Array.from({ length: 20 }, () => sign())]);
  await revoking;
  for (const result of results) {
    if (Object(result).svid === null) continue;
    const { serialNumber, ...leaf } = leafOf(result);
    const issuedAt = issueInstant({ serialNumber, ...leaf });
    expect(revocations.find({ spiffeId: web, serialNumber, issuedAt })).toBeDefined();
  }
});
