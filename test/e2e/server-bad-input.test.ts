import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { status } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/ops/index.ts';
import { buildCsr, generateP256KeyPair, TrustDomain } from '../../src/spiffe/index.ts';
import { type BucketName, openSqliteStore } from '../../src/store/index.ts';
import { csrFor, csrWithoutId, type FleetClient } from '../fakes/open-fleet.ts';
import { makeCertificate } from '../fakes/test-certificates.ts';
import { eventually } from '../programs/eventually.ts';
import {
  type JoinedAgent,
  joinServer,
  type LaunchedServer,
  launchServer,
} from '../programs/launch-server.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';

const CONFIG = 'server: { rateLimits: { attestation: 100 } }\n';
const WEB = 'spiffe://example.org/web';

let folder: RunFolder;
let server: LaunchedServer;

const isFailure = (code: status): boolean => code !== status.OK;

const refusal = (code: number, details: string) => ({
  code,
  details: expect.stringContaining(details),
});

/** An entry below the agent; its ID. */
async function createEntry(agent: JoinedAgent, spiffeId: string = WEB): Promise<string> {
  const parent = ['--parent-id', agent.id.toString()];
  const what = ['--spiffe-id', spiffeId, '--selector', 'unix:uid:0'];
  return String((await server.ask('entry', 'create', ...parent, ...what)).id);
}

function sign(client: FleetClient, entryId: string, csr: Uint8Array): Promise<unknown> {
  return client.call('SVID.BatchNewX509SVID', { params: [{ entry_id: entryId, csr }] });
}

const signed = { results: [{ status: { code: status.OK }, svid: { id: { path: '/web' } } }] };

describe('bad input to a server', () => {
  let steady: JoinedAgent;
  let steadyEntry: string;
  const good = csrWithoutId(generateP256KeyPair());

  beforeAll(async () => {
    folder = createRunFolder();
    server = await launchServer(folder.path, { config: CONFIG });
    steady = await joinServer(server);
    steadyEntry = await createEntry(steady);
  });

  /** After whatever came, somebody new gets in and an agent gets an SVID. */
  afterEach(async () => {
    await joinServer(server);
    const client = server.dial(steady);
    const answer = JSON.stringify(await sign(client, steadyEntry, good));
    client.close();
    if (!answer.includes('"path":"/web"')) throw new Error(`no SVID: ${answer}`);
  });

  afterAll(async () => {
    await server.stop();
    await folder.remove();
  });

  it.each([
    ['that was never made', 'a-token-that-nobody-made'],
    ['with a byte more', undefined],
    ['that is empty', ''],
    ['that is no text', '\u0000\uffff'],
    ['that is huge', 'x'.repeat(100_000)],
  ])('tokens %s admit nobody', async (_, forged) => {
    const token = await server.makeToken();
    const client = server.dial();
    const before = await server.agents.count({});
    const attempt = client.attest('join_token', Buffer.from(forged ?? `${token}x`));
    await expect(attempt).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    expect(await server.agents.count({})).toEqual(before);
    await expect(client.attest('join_token', Buffer.from(token))).resolves.toBeDefined();
    client.close();
  });

  it('a token shown by twenty at once admits one, and nobody later (F3)', async () => {
    const token = Buffer.from(await server.makeToken());
    const clients = Array.from({ length: 20 }, () => server.dial());
    const attempts = await Promise.allSettled(
      clients.map((client) => client.attest('join_token', token)),
    );
    expect(attempts.filter((attempt) => attempt.status === 'fulfilled')).toHaveLength(1);
    const [client] = clients;
    await expect(client?.attest('join_token', token)).rejects.toMatchObject(
      refusal(status.INVALID_ARGUMENT, 'spent'),
    );
    for (const each of clients) each.close();
  });

  const other = generateP256KeyPair();
  const requests: readonly (readonly [string, Uint8Array, string])[] = [
    ['that are empty', new Uint8Array(), 'request'],
    ['of random bytes', randomBytes(300), 'request'],
    ['that are cut off', good.subarray(0, -1), 'request'],
    ['with bytes behind', Buffer.concat([good, Buffer.of(0)]), 'request'],
    [
      'signed with another key than they carry',
      buildCsr({ ...generateP256KeyPair(), sign: other.sign }),
      'signed',
    ],
    ['of another trust domain', csrFor('spiffe://other.test/spire/agent/x/y'), 'example.org'],
    ['of a workload', csrFor('spiffe://example.org/web'), 'agent'],
    ['of the server', csrFor('spiffe://example.org/spire/server'), 'agent'],
  ];

  it.each(requests)('requests of agents %s are refused and cost no token', async (_, csr, why) => {
    const token = Buffer.from(await server.makeToken());
    const client = server.dial();
    const keys = generateP256KeyPair();
    await expect(client.attest('join_token', token, keys, csr)).rejects.toMatchObject(
      refusal(status.INVALID_ARGUMENT, why),
    );
    await expect(client.attest('join_token', token)).resolves.toBeDefined();
    client.close();
  });

  it('a request that names another agent than the one that was attested is refused', async () => {
    const agent = await joinServer(server);
    const client = server.dial(agent);
    const csr = csrFor('spiffe://example.org/spire/agent/join_token/another');
    await expect(client.call('Agent.RenewAgent', { params: { csr } })).rejects.toMatchObject(
      refusal(status.INVALID_ARGUMENT, agent.id.toString()),
    );
    client.close();
  });

  it.each(requests.slice(0, 6))('requests for SVIDs %s fail alone', async (_, csr) => {
    const client = server.dial(steady);
    const entry_id = steadyEntry;
    const params = [
      { entry_id, csr },
      { entry_id, csr: good },
    ];
    const refused = { code: expect.toSatisfy(isFailure) };
    expect(await client.call('SVID.BatchNewX509SVID', { params })).toMatchObject({
      results: [{ status: refused }, { status: { code: status.OK } }],
    });
    client.close();
  });

  it('a certificate that another trust domain signed, or nobody, gets no connection', async () => {
    for (const uris of [
      ['spiffe://other.test/spire/agent/x/y'],
      ['spiffe://example.org/spire/agent/join_token/y'],
    ]) {
      const now = Date.now();
      const authority = await makeCertificate({
        isCa: true,
        uris: [new URL('/', uris[0]).href.replace(/\/$/u, '')],
        notBefore: now - 60_000,
        notAfter: now + 60_000,
      });
      const keys = generateP256KeyPair();
      const leaf = await makeCertificate({
        issuer: authority,
        uris,
        notBefore: now - 60_000,
        notAfter: now + 60_000,
      });
      const client = server.dial({ ...keys, certificateChain: [leaf.der] });
      await expect(client.call('Bundle.GetBundle')).rejects.toMatchObject({
        code: status.UNAVAILABLE,
      });
      client.close();
    }
  });

  it('messages that are too large end their call', async () => {
    const agent = await joinServer(server);
    const strangers = server.dial();
    const huge = strangers.attest('join_token', randomBytes(300_000));
    await expect(huge).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    const client = server.dial(agent);
    const csr = randomBytes(5_000_000);
    await expect(sign(client, 'x', csr)).rejects.toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
    });
    for (const each of [strangers, client]) each.close();
  });

  it('an agent that is banned gets nothing more on the connection that it has', async () => {
    const agent = await joinServer(server);
    const client = server.dial(agent);
    const entryId = await createEntry(agent);
    expect(await sign(client, entryId, good)).toMatchObject(signed);
    await server.agents.ban(agent.id);
    const banned = refusal(status.PERMISSION_DENIED, 'banned');
    await expect(sign(client, entryId, good)).rejects.toMatchObject(banned);
    await expect(client.call('Agent.RenewAgent', { params: { csr: good } })).rejects.toMatchObject(
      banned,
    );
    client.close();
    const again = server.dial(agent);
    await expect(again.call('Agent.PostStatus')).rejects.toMatchObject(banned);
    again.close();
  });

  it('has failed nowhere inside', async () => {
    expect(server.log.filter((line) => /ERR_INTERNAL|a handler failed/u.test(line))).toEqual([]);
    expect(await server.ask('status')).toMatchObject({ healthy: true });
    expect(await server.stop()).toBe(0);
    server = await launchServer(folder.path, { config: CONFIG });
  });
});

describe('a server', () => {
  beforeEach(() => {
    folder = createRunFolder();
  });

  afterEach(async () => {
    await server.stop();
    await folder.remove();
  });

  /** Writes a value as the store does, while no server runs, over the latest of the bucket; returns that. */
  async function overwrite(bucketName: BucketName, value: Uint8Array): Promise<Uint8Array> {
    const store = await openSqliteStore({
      path: path.join(folder.path, 'data', 'trustplane.db'),
      trustDomain: TrustDomain.parse('example.org'),
      clock: systemClock,
    });
    const bucket = store.bucket(bucketName);
    const { records } = await bucket.list('');
    const latest = records.toSorted((a, b) => b.revision - a.revision)[0];
    if (latest === undefined) throw new Error(`nothing in ${bucketName}`);
    await bucket.put(latest.key, value);
    await store.close();
    return latest.value;
  }

  it('does not start on a damaged entry, names it, and starts once that is gone', async () => {
    server = await launchServer(folder.path, { config: CONFIG });
    const agent = await joinServer(server);
    const kept = await createEntry(agent);
    const lost = await createEntry(agent, 'spiffe://example.org/lost');
    expect(await server.stop()).toBe(0);
    const whole = await overwrite('entries', Buffer.from('{"v":1,"spiffeId":7}'));
    await expect(launchServer(folder.path)).rejects.toThrow(/ended with 12 .*ERR_ENTRY_RECORD/su);
    await overwrite('entries', whole);
    server = await launchServer(folder.path, { config: CONFIG });
    expect(await server.ask('entry', 'show')).toMatchObject({
      entries: expect.arrayContaining([
        expect.objectContaining({ id: kept }),
        expect.objectContaining({ id: lost }),
      ]),
    });
  });

  it('serves all but an agent that is damaged in its store', async () => {
    server = await launchServer(folder.path, { config: CONFIG });
    const agent = await joinServer(server);
    const kept = await createEntry(agent);
    const doomed = await joinServer(server);
    expect(await server.stop()).toBe(0);
    await overwrite('agents', randomBytes(100));
    await overwrite('tokens', new Uint8Array());

    server = await launchServer(folder.path, { config: CONFIG });
    const client = server.dial(agent);
    expect(await sign(client, kept, csrWithoutId(generateP256KeyPair()))).toMatchObject(signed);
    const refused = server.dial(doomed);
    await expect(refused.call('Agent.PostStatus')).rejects.toMatchObject({
      code: expect.toSatisfy(isFailure),
    });
    for (const each of [client, refused]) each.close();
    await joinServer(server);
    expect(server.log.join('\n')).not.toContain('ERR_INTERNAL');
  });

  it('refuses writes and signatures while its disk takes none, is not ready, and loses nothing', async () => {
    const config = `${CONFIG}metrics: { address: '127.0.0.1:0' }\n`;
    server = await launchServer(folder.path, { config });
    const agent = await joinServer(server);
    const client = server.dial(agent);
    const entryId = await createEntry(agent);
    limitFiles(server.pid, '0');
    await expect(createEntry(agent, 'spiffe://example.org/more')).rejects.toThrow(
      /ERR_|exit code/u,
    );
    await server.line('writes fail');
    // What cannot be recorded is not done.
    const unrecorded = { code: status.UNAVAILABLE, message: expect.stringContaining('ledger') };
    expect(await sign(client, entryId, csrWithoutId(generateP256KeyPair()))).toMatchObject({
      results: [{ status: unrecorded }],
    });
    expect(await server.ask('status')).toMatchObject({
      healthy: false,
      // The journal is on the same disk, and may have been written by then.
      problems: expect.arrayContaining([expect.stringMatching(/^store/u)]),
    });
    limitFiles(server.pid, 'unlimited');
    await server.line('writes work again');
    // Also the journal, although nobody asks for anything.
    await eventually('it is healthy', async () => (await server.ask('status')).healthy === true);
    await createEntry(agent, 'spiffe://example.org/more');
    expect(await server.ask('entry', 'count')).toEqual({ count: 2 });
    client.close();
    server.kill('SIGKILL');
    await server.ended;
    server = await launchServer(folder.path, { config });
    expect(await server.ask('entry', 'count')).toEqual({ count: 2 });
    expect(await server.ask('agent', 'count')).toEqual({ count: 1 });
  });

  /** The most bytes that a file of the process may have. */
  function limitFiles(pid: number, bytes: string): void {
    const { status: code, stderr } = spawnSync('prlimit', [
      `--pid=${pid}`,
      `--fsize=${bytes}:unlimited`,
    ]);
    expect([code, stderr.toString()]).toEqual([0, '']);
  }
});
