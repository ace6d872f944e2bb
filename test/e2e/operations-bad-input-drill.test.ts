import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Client, type StatusObject, status } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createWorkloadApiClient } from '../../src/client/index.ts';
import { systemClock } from '../../src/ops/index.ts';
import { dialUnix, loadService } from '../../src/wire/index.ts';
import { eventually } from '../programs/eventually.ts';
import { fillWithExpired } from '../programs/expired-facts.ts';
import { askServer, runAdmin } from '../programs/fleet-process.ts';
import { launchServerAndAgent, type ServerAndAgent } from '../programs/launch-server-and-agent.ts';
import { runTrustplane } from '../programs/launch-trustplane.ts';
import { residentMib } from '../programs/memory.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';

const WEB = 'spiffe://example.org/web';
const DAY_MS = 86_400_000;
const MILLION = 1_000_000;
/** More than are allowed of those that still say something. */
const expired = {
  revocations: 100_000,
  suspensions: 20_000,
  tokens: 2_000,
  agents: 2_000,
  entries: 2_000,
};

let folder: RunFolder;
let fleet: ServerAndAgent;

const run = async (...args: readonly string[]) =>
  await runTrustplane(...args, '--admin-socket', fleet.adminSocket);

/** What a workload of the agent gets now. */
async function fetchIds(): Promise<readonly string[]> {
  const address = { kind: 'unix', path: fleet.socket } as const;
  const client = createWorkloadApiClient({ address, clock: systemClock, random: Math.random });
  const { svids } = await client.fetchX509(30_000);
  client.close();
  return svids.map(({ svid }) => svid.spiffeId.toString());
}

beforeAll(async () => {
  folder = createRunFolder();
  const past = Date.now() - 200 * DAY_MS;
  await fillWithExpired(path.join(folder.path, 'server'), past, expired);
  fleet = await launchServerAndAgent(folder.path);
  const parent = ['--parent-id', `spiffe://example.org${fleet.agentPath}`];
  const selector = ['--selector', `unix:uid:${process.getuid?.() ?? 0}`];
  await runAdmin(fleet.adminSocket, 'entry', 'create', '--spiffe-id', WEB, ...parent, ...selector);
});

afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
  await folder.remove();
});

describe('a store full of facts that have expired', () => {
  it('is opened within bounds, and serves', async () => {
    expect(residentMib(fleet.server.pid)).toBeLessThan(600);
    // Nothing of it is of use to an agent.
    expect(residentMib(fleet.agent.pid)).toBeLessThan(250);
    await eventually('the workload is served', async () => (await fetchIds()).includes(WEB));
  });

  it('leaves room for what is new', async () => {
    const subject = ['--spiffe-id', 'spiffe://example.org/minted'];
    expect(await run('revoke', ...subject, '--force')).toMatchObject({ code: 0 });
    const { suspensions } = await askServer(fleet.adminSocket, 'revocation', 'list', '--active');
    expect(suspensions).toMatchObject([{ value: 'spiffe://example.org/minted' }]);
    expect(await run('unsuspend', ...subject)).toMatchObject({ code: 0 });
  });

  it('has no entry that has expired', async () => {
    await eventually('expired entries are gone', async () => {
      const { count } = await askServer(fleet.adminSocket, 'entry', 'count');
      return count === 1;
    });
    expect(await run('entry', 'count')).toMatchObject({ stdout: '1 entry\n' });
  });
});

describe('what is far too much', () => {
  let before: { readonly server: number; readonly agent: number };

  beforeAll(() => {
    before = { server: residentMib(fleet.server.pid), agent: residentMib(fleet.agent.pid) };
  });

  /** Others are served, nothing is a defect, and memory is bounded. */
  afterEach(async () => {
    const ids = await fetchIds();
    const grown = {
      server: residentMib(fleet.server.pid) - before.server,
      agent: residentMib(fleet.agent.pid) - before.agent,
    };
    const defects = [...fleet.server.lines, ...fleet.agent.lines].filter((line) =>
      /ERR_INTERNAL|"level":"(error|fatal)"/u.test(line),
    );
    const { count } = await askServer(fleet.adminSocket, 'entry', 'count');
    const isWell = ids.join() === WEB && count === 1 && defects.length === 0;
    if (isWell && grown.server < 200 && grown.agent < 100) return;
    throw new Error(JSON.stringify({ ids, grown, defects, count }));
  });

  const selectors = (count: number) =>
    Array.from({ length: count }, (_, n) => ({ type: 'k8s', value: `l:${n}` }));
  const entry = {
    spiffe_id: { trust_domain: 'example.org', path: '/bad' },
    parent_id: { trust_domain: 'example.org', path: '/node' },
  };

  it('is a million selectors of an entry', async () => {
    const all = { entries: [{ ...entry, selectors: selectors(MILLION) }] };
    expect(await send('Entry', 'BatchCreateEntry', all)).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
    });
    // As many as get through.
    const some = { entries: [{ ...entry, selectors: selectors(200_000) }] };
    const { code, answer } = await send('Entry', 'BatchCreateEntry', some);
    expect(code).toBe(status.OK);
    expect(JSON.stringify(answer)).toMatch(/"code":3,"message":"[^"]*selectors: expected/u);
  });

  it('is a million selectors of a document', async () => {
    const list = selectors(MILLION).map(({ type, value }) => `${type}:${value}`);
    const head = `apiVersion: trustplane/v1\nkind: RegistrationEntry\nspiffeId: ${WEB}2\nparentId: ${WEB}3\n`;
    const file = path.join(folder.path, 'million.yaml');
    await writeFile(file, `${head}selectors:\n${list.map((one) => `- ${one}\n`).join('')}`);
    const { code, stderr } = await run('apply', '-f', file);
    expect([code, stderr]).toEqual([
      2,
      expect.stringMatching(/million\.yaml:.* at most 1048576 /u),
    ]);
  });

  it('is a million selectors that a workload is supposed to show', async () => {
    const asked = { selectors: selectors(200_000) };
    const { code, details } = await send('Explain', 'WhatIf', asked);
    expect([status[code], details]).toEqual([
      'INVALID_ARGUMENT',
      expect.stringContaining('at most'),
    ]);
  });
});

const files: Readonly<Record<string, readonly [file: string, service: string]>> = {
  Entry: ['spire/api/server/entry/v1/entry.proto', 'spire.api.server.entry.v1.Entry'],
  Explain: ['trustplane/explain/v1/explain.proto', 'trustplane.explain.v1.Explain'],
};

/** A call without the limits that clients here keep to. */
async function send(
  service: string,
  name: string,
  request: object,
): Promise<StatusObject & { readonly answer: unknown }> {
  const method = loadService(...(files[service] ?? ['', '']))[name];
  if (method === undefined) throw new Error(`there is no method ${name}`);
  const { target, credentials } = dialUnix(fleet.adminSocket);
  const client = new Client(target, credentials, { 'grpc.max_send_message_length': -1 });
  const { promise, resolve } = Promise.withResolvers<StatusObject>();
  let answer: unknown;
  const { path: at, requestSerialize, responseDeserialize } = method;
  client
    .makeUnaryRequest(at, requestSerialize, responseDeserialize, request, (_error, value) => {
      answer = value;
    })
    .once('status', resolve);
  const ended = await promise;
  client.close();
  return { ...ended, answer };
}
