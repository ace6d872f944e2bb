import { X509Certificate } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  createAdminClient,
  createWorkloadApiClient,
  type WorkloadApiClient,
  type X509WatchEvent,
} from '../../src/client/index.ts';
import { systemClock } from '../../src/ops/index.ts';
import { launchTrustplane, type RunningTrustplane } from '../programs/launch-trustplane.ts';
import { residentMib } from '../programs/memory.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';
import { spawnTied, type TiedChild } from '../programs/tied-child.ts';

const WEB = 'spiffe://example.org/web';

let folder: RunFolder;
let trustplane: RunningTrustplane;
let webId: string;

beforeEach(async () => {
  folder = createRunFolder();
  trustplane = await launchTrustplane(folder.path, '--log-level', 'warn');
  webId = await trustplane.createEntry(WEB);
});

afterEach(async () => {
  await trustplane.stop();
  await folder.remove();
});

const connectCrowd = new URL('../programs/connect-crowd.ts', import.meta.url);
const idleReader = new URL('../programs/idle-reader.ts', import.meta.url);

function startProgram(file: URL, count: number): TiedChild {
  return spawnTied(process.execPath, [fileURLToPath(file), trustplane.socket, String(count)]);
}

/** The line that begins with `start`, once the program has printed it. */
async function lineOf(child: TiedChild, start: string): Promise<string> {
  const said = new Promise<string>((resolve) => {
    const look = (line: string): void => void (line.startsWith(start) && resolve(line));
    child.onLine(look);
    child.lines.forEach(look);
  });
  const early = child.ended.then((how) => {
    throw new Error(`it ended with ${how} before "${start}":\n${child.lines.join('\n')}`);
  });
  return await Promise.race([said, early]);
}

function workloadClient(): WorkloadApiClient {
  const address = { kind: 'unix', path: trustplane.socket } as const;
  return createWorkloadApiClient({ address, clock: systemClock, random: Math.random });
}

async function fetchesItsSvid(): Promise<void> {
  const client = workloadClient();
  try {
    const { svids } = await client.fetchX509(30_000);
    expect(svids.map(({ svid }) => svid.spiffeId.toString())).toEqual([WEB]);
  } finally {
    client.close();
  }
}

/** Fetches again and again; how often, unless one fails. */
async function fetchUntil(signal: AbortSignal, client: WorkloadApiClient): Promise<number> {
  let fetches = 0;
  while (!signal.aborted) {
    await client.fetchX509(30_000);
    fetches += 1;
  }
  return fetches;
}

describe('10,000 connects at once', () => {
  it('all get through, others are served meanwhile, and the silent ones are closed', async () => {
    const known = workloadClient();
    await known.fetchX509(30_000);
    const crowds = [5_000, 5_000].map((count) => startProgram(connectCrowd, count));
    try {
      await Promise.all(crowds.map(async (crowd) => await lineOf(crowd, 'asked')));
      const through = Promise.all(crowds.map(async (crowd) => await lineOf(crowd, 'through 5000')));
      const during = new AbortController();
      const fetches = fetchUntil(during.signal, known);
      await through.finally(() => during.abort());
      expect(await fetches).toBeGreaterThan(0);
      await fetchesItsSvid();
      const closed = crowds.map(async (crowd) => await lineOf(crowd, 'closed 4500'));
      await Promise.all(closed);
      expect(await Promise.all(crowds.map(async (crowd) => await crowd.ended))).toEqual([0, 0]);
    } finally {
      known.close();
      await Promise.all(crowds.map(async (crowd) => await crowd.stop()));
    }
    await fetchesItsSvid();
    expect(await trustplane.stop()).toBe(0);
  });
});

describe('a client that never reads', () => {
  const STREAMS_OF_A_KIND = 60;
  const UPDATES = 500;
  const MOST_MIB = 256;

  it('costs bounded memory while 500 SVIDs are pushed, and others get each of them', async () => {
    const idle = startProgram(idleReader, STREAMS_OF_A_KIND);
    const admin = createAdminClient(trustplane.adminSocket);
    const client = workloadClient();
    const over = new AbortController();
    try {
      await admin.updateEntry({ id: webId, dns_names: wideNames(0) });
      await lineOf(idle, 'open');
      idle.kill('SIGSTOP');
      const watch = client.watchX509(over.signal)[Symbol.asyncIterator]();
      const firstSize = await sizeOfUpdate(watch, 0);
      const before = residentMib(trustplane.pid);
      let most = before;
      for (let update = 1; update <= UPDATES; update++) {
        await admin.updateEntry({ id: webId, dns_names: wideNames(update) });
        await sizeOfUpdate(watch, update);
        if (update % 50 === 0) most = Math.max(most, residentMib(trustplane.pid));
      }
      // Were updates queued for the idle streams, they would take many times what is allowed.
      const queuedMib = (firstSize * UPDATES * 3 * STREAMS_OF_A_KIND) / 1_048_576;
      expect(queuedMib).toBeGreaterThan(3 * MOST_MIB);
      expect(most - before).toBeLessThan(MOST_MIB);
      await fetchesItsSvid();
    } finally {
      over.abort();
      client.close();
      admin.close();
      idle.kill('SIGKILL');
      await idle.ended;
    }
  });

  /** Sixty long DNS names, the first of which tells the update. */
  function wideNames(update: number): string[] {
    const label = 'x'.repeat(50);
    const rest = Array.from({ length: 59 }, (_, n) => `n${n}.${label}.${label}.${label}.test`);
    return [`update-${update}.test`, ...rest];
  }

  /** Reads on until the update has come; the bytes of its chain. */
  async function sizeOfUpdate(
    watch: AsyncIterator<X509WatchEvent>,
    update: number,
  ): Promise<number> {
    for (;;) {
      const { value: event, done } = await watch.next();
      if (done === true) throw new Error('the updates ended');
      if (event.type !== 'update') throw event.error;
      const [leaf] = event.context.svids[0]?.certificateChain ?? [];
      if (leaf === undefined) continue;
      const names = new X509Certificate(leaf).subjectAltName ?? '';
      if (names.includes(`DNS:update-${update}.test,`)) return leaf.length;
    }
  }
});
