import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseDocuments } from '../../src/apply/index.ts';
import { encodeIidPayload } from '../../src/attest/node/aws/iid-payload.ts';
import { type ToApply, toApply } from '../../src/cli/load-documents.ts';
import {
  createAdminClient,
  createApplyClient,
  createRevocationClient,
} from '../../src/client/index.ts';
import {
  buildCsr,
  generateP256KeyPair,
  parseCertificate,
  SpiffeId,
  TrustDomain,
  TrustplaneError,
} from '../../src/spiffe/index.ts';
import { dialUnix, type TlsIdentity } from '../../src/wire/index.ts';
import { type AwsCloud, startAwsCloud } from '../fakes/aws-cloud.ts';
import { makeCloudTls } from '../fakes/cloud-server.ts';
import { inLines, makeSignedMessage } from '../fakes/signed-message.ts';
import { type FetchedX509, fetchStream } from '../fakes/workload-endpoint.ts';
import { X509Crl } from '../oracles/x509.ts';
import { eventually } from '../programs/eventually.ts';
import { type LaunchedAgent, startAgent, writeBundle } from '../programs/launch-agent.ts';
import { launchNatsServer, type NatsServer } from '../programs/launch-nats-server.ts';
import { type LaunchedServer, launchServer } from '../programs/launch-server.ts';
import { createRunFolder } from '../programs/run-folder.ts';

const UID = `unix:uid:${process.getuid?.() ?? 0}`;
const NODE = 'spiffe://example.org/node';
const SUSPENDED = 'is suspended since';
const SUSPENSIONS = 12;
const DOCUMENTS = 300;
const names = ['a', 'b', 'c'] as const;
const LONG = { timeoutMs: 30_000 };

const folder = createRunFolder();
const closing = new AsyncDisposableStack();
const at = (name: string): string => path.join(folder.path, name);
let nats: NatsServer;
let aws: AwsCloud;
let config: string;
const servers: LaunchedServer[] = [];
const hosts: Host[] = [];
/** Joined, and able to ask every server. */
let raw: TlsIdentity & { readonly id: string };

/** An agent that knows one server alone. */
interface Host extends Pick<LaunchedAgent, 'id'> {
  latest: FetchedX509 | undefined;
}

interface Issued {
  readonly results?: readonly {
    readonly status?: { readonly code?: number; readonly message?: string };
  }[];
}

beforeAll(async () => {
  closing.defer(() => folder.remove());
  const tls = await makeCloudTls();
  aws = closing.use(await startAwsCloud(tls, Date.now()));
  nats = closing.use(await launchNatsServer({ jetStream: true }));
  mkdirSync(at('aws'));
  writeFileSync(at('aws/eu-central-1.pem'), aws.certificate);
  writeFileSync(at('clouds.pem'), tls.authority);
  const awsIid = {
    accounts: ['123456789012'],
    certificatesFolder: at('aws'),
    ec2Endpoint: aws.api.origin,
    iamEndpoint: aws.api.origin,
    metadataEndpoint: aws.imds.origin,
    caFile: at('clouds.pem'),
  };
  const store = { type: 'jetstream', servers: [nats.url], replicas: 1, isTest: true };
  const rateLimits = { attestation: 0, signing: 0 };
  config = JSON.stringify({ server: { store, nodeAttestors: { awsIid }, rateLimits } });
  for (const name of names) servers.push(await launch(name));
  await Promise.all(Array.from({ length: SUSPENSIONS }, (_, i) => createEntry(`w${i}`)));
  hosts.push(...(await Promise.all(servers.map(openHost))));
  const client = server(0).dial();
  raw = await client.attest('join_token', Buffer.from(await tokenOf(server(0))));
  client.close();
  await eventually('all have all', () => hosts.every((host) => idsAt(host).length === SUSPENSIONS));
});
afterAll(async () => await closing.disposeAsync());

async function launch(name: string, port = 0): Promise<LaunchedServer> {
  mkdirSync(at(name), { recursive: true });
  const launched = await launchServer(at(name), { config, port });
  closing.defer(async () => void (await launched.stop()));
  return launched;
}

function server(index: number): LaunchedServer {
  const found = servers[index % servers.length];
  if (found === undefined) throw new Error('there is none');
  return found;
}

async function openHost(its: LaunchedServer, index: number): Promise<Host> {
  const own = at(`host-${index}`);
  mkdirSync(own);
  const flags = ['--bundle-file', await writeBundle(own, its), '--join-token', await tokenOf(its)];
  const agent = startAgent(own, { servers: [`127.0.0.1:${its.port}`], flags });
  closing.defer(async () => void (await agent.stop()));
  await agent.id;
  const host: Host = { id: agent.id, latest: undefined };
  const dial = dialUnix(agent.socket);
  const client = new Client(dial.target, dial.credentials, dial.options);
  const over = new AbortController();
  const following = follow(host, client, over.signal);
  closing.defer(async () => {
    over.abort();
    await agent.stop();
    await following;
    client.close();
  });
  return host;
}

/** Streams end when the workload has no identity; it asks again. */
async function follow(host: Host, client: Client, over: AbortSignal): Promise<void> {
  while (!over.aborted) {
    const fetching = fetchStream(client, 'FetchX509SVID');
    for (let isOpen = true; isOpen; ) {
      const message = await fetching.next();
      isOpen = !('code' in message);
      host.latest = 'code' in message ? undefined : message;
    }
    await delay(20);
  }
}

async function tokenOf({ agents }: LaunchedServer): Promise<string> {
  return (await agents.createJoinToken(600, SpiffeId.parse(NODE))).token;
}

async function createEntry(name: string): Promise<void> {
  const ids = { trust_domain: 'example.org' };
  await using(createAdminClient(server(0).adminSocket), async (client) => {
    await client.createEntry({
      id: name,
      spiffe_id: { ...ids, path: `/${name}` },
      parent_id: { ...ids, path: '/node' },
      selectors: [{ type: 'unix', value: UID.slice(5) }],
    });
  });
}

function idOf(name: string): string {
  return `spiffe://example.org/${name}`;
}

function idsAt({ latest }: Host): readonly string[] {
  return latest?.svids?.map((svid) => svid.spiffe_id) ?? [];
}

const has = (host: Host, name: string): boolean => idsAt(host).includes(idOf(name));

async function using<Client extends { close(): void }, T>(
  client: Client,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  try {
    return await work(client);
  } finally {
    client.close();
  }
}

async function revoke(by: LaunchedServer, subject: object, isForced = false): Promise<void> {
  const how = { reason: 'a drill', isReissued: false, isDryRun: false, isForced };
  await using(
    createRevocationClient(by.adminSocket),
    async (client) => await client.revoke({ subject, ...how }),
  );
}

async function unsuspend(by: LaunchedServer, name: string): Promise<void> {
  const subject = { spiffeId: idOf(name) };
  await using(
    createRevocationClient(by.adminSocket),
    async (client) => await client.unsuspend(subject, ''),
  );
}

/** What a server says when it is asked for an SVID; empty: it gave one. */
async function issueAt(its: LaunchedServer, name: string): Promise<string> {
  const client = its.dial(raw);
  try {
    const spiffeId = SpiffeId.parse(idOf(name));
    const csr = buildCsr({ ...generateP256KeyPair(), spiffeId });
    const params = [{ entry_id: name, csr }];
    const answer: Issued = Object(await client.call('SVID.BatchNewX509SVID', { params }));
    const { code = 0, message = '' } = answer.results?.[0]?.status ?? {};
    return code === 0 ? '' : message;
  } finally {
    client.close();
  }
}

async function refusedAt(its: LaunchedServer, name: string): Promise<void> {
  await eventually(
    `${name} is refused`,
    async () => (await issueAt(its, name)).includes(SUSPENDED),
    { ...LONG, everyMs: 10 },
  );
}

function tell(what: string, times: number[]): void {
  const sorted = times.toSorted((one, other) => one - other);
  const [p50 = 0, p99 = 0] = [0.5, 0.99].map((p) => sorted[Math.ceil(p * sorted.length) - 1]);
  console.log(`${what}: ${p50.toFixed(0)} ms (p50), ${p99.toFixed(0)} ms (p99) of ${times.length}`);
}

describe('three servers of one store', () => {
  it('admit an instance once, whichever of them 20 of its kind ask at the same time', async () => {
    const rsa2048 = inLines(makeSignedMessage(Buffer.from(aws.document()), aws.key));
    const payload = encodeIidPayload({ document: aws.document(), rsa2048 });
    const tries = await Promise.allSettled(
      Array.from({ length: 20 }, async (_, index) => {
        const client = server(index).dial();
        try {
          return await client.attest('aws_iid', payload);
        } finally {
          client.close();
        }
      }),
    );
    expect(tries.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const reasons = tries.flatMap((each) => (each.status === 'rejected' ? [each.reason] : []));
    for (const reason of reasons) expect(String(reason)).toContain('is attested already');
  });

  it('suspend at all of them what is suspended at one, and give it back by another', async () => {
    const refused: number[] = [];
    const gone: number[] = [];
    for (let i = 0; i < SUSPENSIONS; i++) {
      await revoke(server(i), { spiffeId: idOf(`w${i}`) });
      const begin = performance.now();
      const since = (times: number[]) => () => void times.push(performance.now() - begin);
      await Promise.all([
        ...servers.map((each) => refusedAt(each, `w${i}`).then(since(refused))),
        ...hosts.map((host) =>
          eventually('it is gone', () => !has(host, `w${i}`), { everyMs: 1 }).then(since(gone)),
        ),
      ]);
    }
    expect([refused.length, gone.length]).toEqual([3 * SUSPENSIONS, 3 * SUSPENSIONS]);
    tell('refused at every server', refused);
    tell('gone at every agent', gone);
    for (let i = 0; i < SUSPENSIONS; i++) await unsuspend(server(i + 1), `w${i}`);
    await eventually('it is back', () => hosts.every((host) => idsAt(host).length === SUSPENSIONS));
  });

  it('tell agents of each what certificates of all are revoked', async () => {
    const serials = hosts.map(({ latest }) => {
      const [first] = latest?.svids ?? [];
      const { certificate } = firstOf(first?.x509_svid);
      return certificate.serialNumber;
    });
    for (const [index, serial] of serials.entries()) {
      const other = server(index + 1);
      await expect(revoke(other, { serial })).rejects.toThrow('the server that issued it does');
      await revoke(other, { serial }, true);
    }
    await eventually(
      'CRLs of all are at each',
      () => hosts.every((host) => serials.every((serial) => revokedAt(host).includes(serial))),
      LONG,
    );
    for (const host of hosts) expect(host.latest?.crl).toHaveLength(servers.length);
  });

  it('keep a suspension that its server died with and the store has lost', async () => {
    await nats.kill();
    cpSync(path.join(nats.folder, 'jetstream'), at('before'), { recursive: true });
    await nats.start();
    await eventually(
      'the store is back',
      async () => (await server(0).ask('entry', 'count'), true),
      LONG,
    );
    await eventually(
      'it is taken',
      async () => (await revoke(server(0), { spiffeId: idOf('w0') }), true),
      LONG,
    );
    await Promise.all([1, 2].map((index) => refusedAt(server(index), 'w0')));
    server(0).kill('SIGKILL');
    await nats.kill();
    rmSync(path.join(nats.folder, 'jetstream'), { recursive: true });
    cpSync(at('before'), path.join(nats.folder, 'jetstream'), { recursive: true });
    await nats.start();
    for (const index of [1, 2]) {
      await eventually('it is told', async () => await isSuspended(server(index), 'w0'), LONG);
      expect(await issueAt(server(index), 'w0')).toContain(SUSPENDED);
      expect(has(host(index), 'w0')).toBe(false);
    }
    await server(0).ended;
    servers[0] = await launch('a', server(0).port);
    await refusedAt(server(0), 'w0');
    await eventually('it is lifted', async () => (await unsuspend(server(2), 'w0'), true), LONG);
    for (const index of [1, 2]) await eventually('it is back', () => has(host(index), 'w0'), LONG);
    await eventually('it is issued', async () => (await issueAt(server(0), 'w0')) === '', LONG);
  });

  it('take two applies at a time: who is overtaken is told, and applies again', async () => {
    const apply = async (index: number, documents: ToApply): Promise<string> =>
      await using(createApplyClient(server(index).adminSocket), async (client) => {
        const { outcome } = await client.apply({ set: 'default', ...documents });
        return (
          outcome?.failure?.code ?? `changed ${(outcome?.added ?? 0) + (outcome?.changed ?? 0)}`
        );
      }).catch((error: unknown) => (error instanceof TrustplaneError ? error.code : String(error)));
    const [one, two] = await Promise.all([documentsOf('one'), documentsOf('two')]);
    const told = ['ERR_APPLY_CHANGED'];
    const all = `changed ${DOCUMENTS}`;
    for (const round of ['made', 'changed']) {
      const done = await Promise.all([apply(0, one), apply(1, two)]);
      console.log(`${round} by two applies at a time: ${done.join(' and ')}`);
      // Nothing is half done without a word.
      expect(done.filter((what) => !['changed 0', all, ...told].includes(what))).toEqual([]);
      await eventually('it is applied again', async () =>
        (await apply(1, two)).startsWith('changed'),
      );
      await eventually('nothing is left', async () => (await apply(1, two)) === 'changed 0');
      const { entries }: { entries: { spiffeId: string; hint: string }[] } = await server(2).ask(
        'entry',
        'list',
      );
      const made = entries.filter(({ spiffeId }) => spiffeId.startsWith(idOf('set/')));
      expect(made).toHaveLength(DOCUMENTS);
      expect(made.filter(({ hint }) => !hint.startsWith('two'))).toEqual([]);
    }
  }, 60_000);

  it('explain what is at agents of others', async () => {
    const about = ['--agent', await host(2).id, '--selector', UID, '--spiffe-id', idOf('w1')];
    const top = async () => {
      const { explanations } = await server(0).ask('explain', ...about);
      return [explanations[0].verdict, explanations[0].findings[0]?.code];
    };
    expect((await top())[0]).toMatch(/entitled|served/u);
    await revoke(server(1), { spiffeId: idOf('w1') });
    await eventually('it is explained', async () => (await top())[1] === 'id-suspended');
    await unsuspend(server(2), 'w1');
  });

  it('turn away an agent that is banned or evicted at one of them', async () => {
    expect(await issueAt(server(2), 'w2')).toBe('');
    await server(1).agents.ban(SpiffeId.parse(raw.id));
    for (const each of servers)
      await eventually('it is banned', async () => await isTurnedAway(each, 'is banned'));
    await server(2).agents.evict(SpiffeId.parse(raw.id));
    for (const each of servers)
      await eventually('it is unknown', async () => await isTurnedAway(each, 'is not attested'));
  });

  it('have each a ledger that verifies', async () => {
    for (const each of servers)
      expect(await each.ask('audit', 'verify')).toMatchObject({ findings: [] });
  });
});

function host(index: number): Host {
  const found = hosts[index];
  if (found === undefined) throw new Error('there is none');
  return found;
}

function firstOf(chain: Buffer | undefined) {
  const der = chain ?? Buffer.of();
  const length = 4 + der.readUInt16BE(2);
  return { certificate: parseCertificate(der.subarray(0, length)) };
}

function revokedAt({ latest }: Host): readonly string[] {
  return (latest?.crl ?? []).flatMap((der) =>
    new X509Crl(Uint8Array.from(der)).entries.map(({ serialNumber }) => serialNumber),
  );
}

async function isSuspended(its: LaunchedServer, name: string): Promise<boolean> {
  const { suspensions } = await using(
    createRevocationClient(its.adminSocket),
    async (client) => await client.list(true),
  );
  return suspensions.some(({ value }) => value === idOf(name));
}

async function isTurnedAway(its: LaunchedServer, code: string): Promise<boolean> {
  return await issueAt(its, 'w2').then(
    () => false,
    (error: unknown) => String(error).includes(code),
  );
}

async function documentsOf(hint: string): Promise<ToApply> {
  const text = Array.from(
    { length: DOCUMENTS },
    (_, i) => `apiVersion: trustplane/v1
kind: RegistrationEntry
spiffeId: ${idOf(`set/${i}`)}
parentId: spiffe://example.org/elsewhere
selectors: [unix:uid:77]
hint: ${hint}-${i}
`,
  ).join('---\n');
  const rules = { trustDomain: TrustDomain.parse('example.org'), now: Date.now() };
  return toApply(parseDocuments([{ name: hint, text }], rules));
}
