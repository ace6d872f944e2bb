import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createWorkloadApiClient } from '../../src/client/index.ts';
import { systemClock } from '../../src/ops/index.ts';
import { badDocuments, goodDocuments } from '../fakes/bad-documents.ts';
import { eventually } from '../programs/eventually.ts';
import { launchServerAndAgent, type ServerAndAgent } from '../programs/launch-server-and-agent.ts';
import { runTrustplane } from '../programs/launch-trustplane.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';

const fixtures = path.join(import.meta.dirname, '..', 'fixtures', 'spire');
let folder: RunFolder;
let fleet: ServerAndAgent;

beforeAll(async () => {
  folder = createRunFolder();
  fleet = await launchServerAndAgent(folder.path, { both: ['--trust-domain', 'a.test'] });
});

afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
  await folder.remove();
});

const run = async (...args: readonly string[]) =>
  await runTrustplane(...args, '--admin-socket', fleet.adminSocket);

const web = () => `apiVersion: trustplane/v1
kind: RegistrationEntry
spiffeId: spiffe://a.test/web
parentId: spiffe://a.test${fleet.agentPath}
selectors: [unix:uid:${process.getuid?.()}]
`;

async function directory(
  name: string,
  files: Readonly<Record<string, string | Uint8Array>>,
): Promise<string> {
  const place = path.join(folder.path, name);
  await mkdir(place, { recursive: true });
  for (const [file, text] of Object.entries(files)) await writeFile(path.join(place, file), text);
  return place;
}

async function planned(...args: readonly string[]): Promise<string> {
  return (await run('apply', '--dry-run', ...args)).stdout;
}

describe('documents over a server and an agent', () => {
  it('name 40 different mistakes of a directory and change nothing', async () => {
    const bad = Object.fromEntries(badDocuments.map(({ file, content }) => [file, content]));
    const place = await directory('bad', { ...goodDocuments, ...bad });
    const { code, stderr } = await run('apply', '-f', place);
    expect([code, badDocuments.length >= 40]).toEqual([2, true]);
    const lines = stderr.split('\n');
    for (const { file, line, column, what } of badDocuments) {
      const begin = `${place}/${file}:${line}:${column}: `;
      const told = lines.filter((one) => one.replace(/^trustplane: /u, '').startsWith(begin));
      expect([begin, ...told]).toEqual([begin, expect.stringContaining(what)]);
    }
    expect(stderr).toContain(`${badDocuments.length} mistakes; nothing was changed`);
    expect((await run('entry', 'count')).stdout).toBe('0 entries\n');
  });

  it('say what an apply means for workloads that run, and it is so', async () => {
    const place = await directory('entries', { 'web.yaml': web() });
    expect((await run('apply', '-f', place)).stdout).toContain('1 added, 0 changed, 0 removed');
    const address = { kind: 'unix', path: fleet.socket } as const;
    const client = createWorkloadApiClient({ address, clock: systemClock, random: Math.random });
    const leaving = new AbortController();
    const events = client.watchX509(leaving.signal)[Symbol.asyncIterator]();
    expect((await events.next()).value).toMatchObject({ type: 'update' });
    const none = await directory('none', { 'relationship.yaml': relationship });
    const flags = ['-f', none, '--prune', '--allow-removals'];
    const removes = 'removes an identity of 1 running workload on 1 agent';
    await eventually('the agent tells of its workloads', async () =>
      (await planned(...flags)).includes(removes),
    );
    const { stdout } = await run('apply', ...flags);
    expect(stdout).toContain(removes);
    expect(stdout).toContain('- spiffe://a.test/web: 1 running workload on 1 agent');
    expect((await events.next()).value).toMatchObject({ type: 'denied' });
    leaving.abort();
    await events.return?.(undefined);
  });

  it('of the present state change nothing', async () => {
    const out = path.join(folder.path, 'state.yaml');
    await run('apply', '-f', await directory('entries', { 'web.yaml': web() }));
    await run('export', '--out', out);
    expect(await run('diff', '-f', out)).toMatchObject({ code: 0 });
    expect(await run('diff', '-f', path.join(folder.path, 'none'))).toMatchObject({ code: 1 });
  });

  it('are taken over from SPIRE, and the same again changes nothing', async () => {
    const flags = ['entries', 'bundles', 'federation'].flatMap((name) => [
      `--${name}`,
      path.join(fixtures, `${name}.json`),
    ]);
    const first = await run('import', 'spire', ...flags);
    expect(first.stdout).toContain('1002 added, 0 changed, 0 removed');
    expect(first.stdout).toContain('bundle of b.test: taken over');
    const again = await run('import', 'spire', ...flags);
    expect(again.stdout).toContain('0 to add, 0 to change, 0 to remove, 1002 unchanged');
    expect(again.stdout).not.toContain('taken over');
  });
});

const relationship = `apiVersion: trustplane/v1
kind: FederationRelationship
trustDomain: z.test
bundleEndpointUrl: https://z.test/bundle
bundleEndpointProfile: https_web
`;
