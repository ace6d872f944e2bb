import { createServer } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  createAdminClient,
  createWorkloadApiClient,
  type X509Context,
} from '../../src/client/index.ts';
import { systemClock } from '../../src/ops/index.ts';
import { TrustplaneError } from '../../src/spiffe/index.ts';
import { eventually } from '../programs/eventually.ts';
import { launchServerAndAgent, type ServerAndAgent } from '../programs/launch-server-and-agent.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';

const PATIENCE_MS = 30_000;

let folder: RunFolder;
let fleet: ServerAndAgent;

beforeEach(async () => {
  folder = createRunFolder();
  const address = `127.0.0.1:${await freePort()}`;
  const flags = ['--bind-address', address, '--log-level', 'debug'];
  fleet = await launchServerAndAgent(folder.path, { server: flags });
});
afterEach(async () => {
  await fleet[Symbol.asyncDispose]();
  await folder.remove();
});

it('serves what it has after both were killed, and has nothing issued again when the server is back', async () => {
  await createEntry('/web');
  const serial = await arrival('/web');
  for (let round = 0; round < 3; round++) {
    await Promise.all([fleet.server.kill(), fleet.agent.kill()]);
    await fleet.agent.start();
    expect((await fetch()).get('/web')).toBe(serial);
    await fleet.server.start();
    await createEntry(`/new/${round}`);
    await arrival(`/new/${round}`);
    expect((await fetch()).get('/web')).toBe(serial);
  }
  const issued = fleet.server.lines.filter(
    (line) => line.includes('"SVID issued"') && line.includes('spiffe://example.org/web"'),
  );
  expect(issued).toHaveLength(1);
});

it('has the same identity after each kill while the server lives', async () => {
  await createEntry('/web');
  const serial = await arrival('/web');
  for (let round = 0; round < 3; round++) {
    await fleet.agent.kill();
    await fleet.agent.start();
    expect((await fetch()).get('/web')).toBe(serial);
  }
});

it('lets a workload it does not know wait until a server has told everything', async () => {
  await createEntry('/other', { uid: 4_000_000_000 });
  await Promise.all([fleet.server.kill(), fleet.agent.kill()]);
  await fleet.agent.start();
  await expect(fetch(1_500)).rejects.toMatchObject({ code: 'ERR_UNREACHABLE' });
  const waiting = fetch();
  await fleet.server.start();
  await expect(waiting).rejects.toMatchObject({ code: 'ERR_WORKLOAD_NO_IDENTITY' });
});

it('does not serve what was taken away while it was dead, when the server can be asked', async () => {
  const id = await createEntry('/web');
  await arrival('/web');
  await fleet.agent.kill();
  await deleteEntry(id);
  const [answer] = await Promise.all([firstAnswer(), fleet.agent.start()]);
  expect(answer).toBe('ERR_WORKLOAD_NO_IDENTITY');
});

it('replaces what was issued before an entry was deleted, also when the same one is made again', async () => {
  await createEntry('/web', { id: 'web' });
  const first = await arrival('/web');
  await deleteEntry('web');
  await createEntry('/web', { id: 'web' });
  const second = await eventually('another SVID', async () => {
    const serial = (await fetch()).get('/web');
    return serial === first ? undefined : serial;
  });
  await fleet.agent.kill();
  await deleteEntry('web');
  await createEntry('/web', { id: 'web' });
  await fleet.agent.start();
  const third = await arrival('/web');
  expect(new Set([first, second, third]).size).toBe(3);
});

/** The serial number of an identity, once the agent knows of it. */
async function arrival(path: string): Promise<string> {
  return await eventually(`the agent serves ${path}`, async () => (await fetch()).get(path));
}

/** The first that an agent says which has yet to open its socket. */
async function firstAnswer(): Promise<string> {
  return await eventually(
    'the agent answers',
    async () => {
      try {
        return [...(await fetch()).keys()].join();
      } catch (error) {
        const code = error instanceof TrustplaneError ? error.code : String(error);
        return code === 'ERR_UNREACHABLE' ? undefined : code;
      }
    },
    { everyMs: 0 },
  );
}

/** Serial numbers by path. @throws TrustplaneError what the agent answers */
async function fetch(timeoutMs = PATIENCE_MS): Promise<ReadonlyMap<string, string>> {
  const client = createWorkloadApiClient({
    address: { kind: 'unix', path: fleet.socket },
    clock: systemClock,
    random: Math.random,
  });
  try {
    return serialsOf(await client.fetchX509(timeoutMs));
  } finally {
    client.close();
  }
}

function serialsOf({ svids }: X509Context): ReadonlyMap<string, string> {
  return new Map(svids.map(({ svid }) => [svid.spiffeId.path, svid.leaf.serialNumber]));
}

async function deleteEntry(id: string): Promise<void> {
  const admin = createAdminClient(fleet.adminSocket);
  try {
    await admin.deleteEntries([id]);
  } finally {
    admin.close();
  }
}

/** An entry below the agent, for this user unless told otherwise; returns its ID. */
async function createEntry(
  path: string,
  options: { readonly id?: string; readonly uid?: number } = {},
): Promise<string> {
  const { uid = process.getuid?.() ?? 0, ...fixed } = options;
  const admin = createAdminClient(fleet.adminSocket);
  try {
    const { id } = await admin.createEntry({
      spiffe_id: { trust_domain: 'example.org', path },
      parent_id: { trust_domain: 'example.org', path: fleet.agentPath },
      selectors: [{ type: 'unix', value: `uid:${uid}` }],
      ...fixed,
    });
    return id;
  } finally {
    admin.close();
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address === 'object' && address !== null) return address.port;
  throw new Error('no port');
}
