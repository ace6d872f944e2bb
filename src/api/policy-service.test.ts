import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openFleet } from '../../test/fakes/open-fleet.ts';
import { draftOf, openPolicyRegistry, policyText } from '../../test/fakes/open-policies.ts';
import { agentIdOf } from '../../test/fakes/sync-world.ts';
import { testDraft } from '../../test/fakes/test-entries.ts';
import { createPolicyClient, type PolicyStatusView } from '../client/index.ts';
import { createMetrics, silentLog } from '../ops/index.ts';
import { checkPolicyFiles, PolicyTakers } from '../policies/index.ts';
import { SpiffeId } from '../spiffe/index.ts';
import { serveUnix } from '../wire/index.ts';
import { createPolicyService } from './policy-service.ts';

const own = process.getuid?.() ?? 0;

async function openService() {
  const { policies, clock, store } = await openPolicyRegistry();
  const takers = new PolicyTakers(() => clock.now());
  const service = createPolicyService({
    policies,
    takers,
    check: async (files) => ({ ...checkPolicyFiles(files, clock.now()), changes: ['~ x.yaml'] }),
    userName: (uid) => (uid === own ? 'me' : undefined),
    serverId: 'one',
    directory: undefined,
    clock: { now: () => clock.now(), setTimer: (_, fire) => (setImmediate(fire), { cancel() {} }) },
  });
  return { policies, takers, service, clock, bucket: store.bucket('policies') };
}

/** The service on a socket of this machine, as administrators have it. */
async function open() {
  const opened = await openService();
  const socket = path.join(tmpdir(), `tp-${randomUUID().slice(0, 8)}.sock`);
  const server = await serveUnix({
    path: socket,
    mode: 0o600,
    services: [opened.service],
    log: silentLog,
    metrics: createMetrics(),
  });
  const client = createPolicyClient(socket);
  onTestFinished(async () => {
    client.close();
    await server.close(0);
    rmSync(socket, { force: true });
  });
  return { ...opened, client };
}

const filesOf = (texts: Readonly<Record<string, string>>) =>
  Object.entries(texts).map(([name, text]) => ({ name, content: Buffer.from(text) }));
const good = filesOf({ 'a.yaml': policyText('a', '/a') });
const failing = filesOf({
  'a.yaml': `${policyText('a', '/a')}tests:\n  - { as: spiffe://example.org/client, request: GET /a, expect: deny }\n`,
});

describe('PolicyService', () => {
  it('makes a version in the name of whom the kernel names, whatever the caller says', async () => {
    const { client } = await open();
    const applied = await client.apply({ files: good, reason: 'CHG-1', claimedAuthor: 'root' });
    expect(applied).toMatchObject({
      isNew: true,
      rules: 1,
      complaints: [],
      version: { version: 1, author: { uid: own, name: 'me' }, claimedAuthor: 'root' },
    });
    const again = await client.apply({ files: good, reason: 'CHG-2' });
    expect([again.isNew, again.version?.version, again.version?.reason]).toEqual([
      false,
      1,
      'CHG-1',
    ]);
    const shown = await client.show(0);
    expect(shown.files.map(({ content }) => Buffer.from(content).toString())).toEqual([
      policyText('a', '/a'),
    ]);
  });

  it('refuses a set with mistakes, and names each of them', async () => {
    const { client, policies } = await open();
    const files = filesOf({
      'a.yaml': policyText('a', '/a').replace('GET', 'GE T'),
      'b.yaml': 'kind: Nothing\n',
      'c.yaml': policyText('a', '/c'),
    });
    const { version, complaints } = await client.apply({ files, reason: 'r' });
    expect(version).toBeNull();
    const places = complaints.map((line) => line.split(': ', 1)[0] ?? '');
    expect(new Set(places.map((place) => place.split(':', 1)[0]))).toEqual(
      new Set(['a.yaml', 'b.yaml']),
    );
    for (const place of places) expect(place).toMatch(/^[ab]\.yaml:\d+:\d+$/u);
    expect(policies.current()).toBeUndefined();
  });

  it('refuses a set whose tests fail, unless they are skipped, and keeps that in mind', async () => {
    const { client } = await open();
    const refused = await client.apply({ files: failing, reason: 'r' });
    expect(refused).toMatchObject({ version: null, tests: 1 });
    expect(refused.failedTests).toEqual([expect.stringMatching(/^a\.yaml:9:5: expected deny/u)]);
    const skipped = await client.apply({ files: failing, reason: 'r', skipTests: true });
    expect(skipped.version).toMatchObject({ version: 1, skippedTests: true });
  });

  it('repairs a broken history when it is told to, and says so', async () => {
    const { client, bucket } = await open();
    const request = { files: good, reason: 'INC-1', isRepair: true };
    await client.apply({ files: good, reason: 'r' });
    await expect(client.apply(request)).rejects.toMatchObject({ code: 'ERR_POLICY_SET' });
    await bucket.put('head', Buffer.from('{'));
    await expect(client.apply({ files: good, reason: 'r' })).rejects.toMatchObject({
      code: 'ERR_POLICY_CHAIN',
    });
    const { version, isNew } = await client.apply(request);
    expect([isNew, version?.version, version?.follows]).toEqual([true, 2, 1]);
    const { versions, faults } = await client.history(9, true);
    expect([versions.map(({ follows }) => follows), faults]).toEqual([[1, null], []]);
  });

  it('only checks in a dry run', async () => {
    const { client, policies } = await open();
    const dry = await client.apply({ files: good, reason: 'r', isDryRun: true });
    expect(dry).toMatchObject({ version: null, policies: 1, rules: 1, changes: ['~ x.yaml'] });
    expect(policies.current()).toBeUndefined();
  });

  it('refuses a change of a version that was expected and is not there', async () => {
    const { client } = await open();
    const expected = { files: good, reason: 'r', expectedVersion: 3 };
    await expect(client.apply(expected)).rejects.toMatchObject({ code: 'ERR_POLICY_CONFLICT' });
    await client.apply({ ...expected, expectedVersion: 0 });
    const back = { version: 1, reason: 'r', expectedVersion: 0 };
    await expect(client.rollback(back)).rejects.toMatchObject({ code: 'ERR_POLICY_CONFLICT' });
    await expect(client.show(2)).rejects.toMatchObject({ code: 'ERR_POLICY_VERSION' });
    await expect(
      client.apply({ files: failing, reason: ' ', skipTests: true }),
    ).rejects.toMatchObject({ code: 'ERR_POLICY_SET' });
  });

  it('lists versions, the latest first, as many as are asked for', async () => {
    const { client } = await open();
    for (const at of ['/a', '/b', '/c']) {
      await client.apply({ files: filesOf({ 'a.yaml': policyText('a', at) }), reason: at });
    }
    const { versions, hasMore, kept, faults } = await client.history(2, true);
    expect([versions.map(({ reason }) => reason), hasMore, kept, faults]).toEqual([
      ['/c', '/b'],
      true,
      3,
      [],
    ]);
    expect(versions[0]?.previous).toBe(versions[1]?.hash);
    expect(await client.prune(1)).toBe(2);
    expect((await client.history(9, true)).kept).toBe(1);
  });

  it('tells who has which version in force, again after each change', async () => {
    const { client, takers, clock } = await open();
    const { version } = await client.apply({ files: good, reason: 'r' });
    const states = client.status(true)[Symbol.asyncIterator]();
    const next = async (): Promise<PolicyStatusView> => {
      const { done, value } = await states.next();
      if (done === true) throw new Error('it has ended');
      return value;
    };
    expect(await next()).toMatchObject({ version: { version: 1 }, server: 'one', agents: [] });
    const agent = agentIdOf('a');
    takers.onConnected(agent);
    expect((await next()).agents).toEqual([
      expect.objectContaining({ id: agent.toString(), connected: true, takers: [] }),
    ]);
    const taker = { name: 'authz', digest: undefined, fault: undefined, refused: undefined };
    const hash = version?.hash;
    takers.onTakers(agent, [
      { ...taker, hash, since: clock.now() },
      { ...taker, name: 'other', hash: 'f'.repeat(64), since: 1 },
      { ...taker, name: 'old', hash: undefined, since: undefined, fault: 'too new', refused: hash },
    ]);
    expect((await next()).agents[0]?.takers).toMatchObject([
      { name: 'authz', state: 'in-force', version: 1 },
      { name: 'other', state: 'behind', version: null },
      { name: 'old', state: 'refused', fault: 'too new', since: null },
    ]);
    takers.onDisconnected(agent);
    expect((await next()).agents[0]).toMatchObject({ connected: false, takers: [{}, {}, {}] });
    takers.forget(agent);
    expect((await next()).agents).toEqual([]);
    await states.return?.(undefined);
  });

  it('goes back to no version that this release does not take', async () => {
    const { client, policies } = await open();
    await policies.apply(draftOf({ 'a.yaml': `${policyText('a', '/a')}former: field\n` }, 0));
    await client.apply({ files: good, reason: 'r' });
    await expect(client.rollback({ version: 1, reason: 'r' })).rejects.toMatchObject({
      code: 'ERR_POLICY',
      message: expect.stringMatching(/a\.yaml:8:1: /u),
    });
    expect(policies.version?.version).toBe(2);
  });

  it('is for administrators alone; a workload with an admin entry is named by its ID', async () => {
    const { service, policies } = await openService();
    const fleet = await openFleet({ services: [service] });
    const agent = await fleet.join();
    const workload = await fleet.issueIdentity('spiffe://a.test/operator');
    const request = { version: '1', reason: 'r' };
    for (const identity of [undefined, agent, workload]) {
      for (const method of ['Rollback', 'History', 'Prune'] as const) {
        await expect(
          fleet.dial(identity).call(`PolicyService.${method}`, request),
        ).rejects.toMatchObject({ details: expect.stringMatching(/only an administrator/u) });
      }
    }
    const spiffeId = SpiffeId.parse(workload.id).toString();
    await fleet.entries.create(testDraft('operator', undefined, { spiffeId, admin: true }));
    await policies.apply(draftOf({ 'a.yaml': policyText('a', '/a') }, 0));
    await policies.apply(draftOf({ 'a.yaml': policyText('a', '/b') }, 1));
    await fleet.dial(workload).call('PolicyService.Rollback', request);
    expect(policies.version).toMatchObject({
      version: 3,
      restores: 1,
      author: { kind: 'svid', id: workload.id },
    });
  });
});
