import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  createWorkloadApiClient,
  type X509Context,
  type X509WatchEvent,
} from '../../src/client/index.ts';
import { systemClock } from '../../src/ops/index.ts';
import { parseCertificate } from '../../src/spiffe/index.ts';
import {
  launchTrustplane,
  type RunningTrustplane,
  runTrustplane,
} from '../programs/launch-trustplane.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';

let folder: RunFolder;
let trustplane: RunningTrustplane;

beforeAll(async () => {
  folder = createRunFolder();
  trustplane = await launchTrustplane(folder.path);
  await trustplane.createEntry('spiffe://example.org/web');
});

afterAll(async () => {
  await trustplane.stop();
  await folder.remove();
});

async function run(...args: readonly string[]) {
  return await runTrustplane(...args, '--admin-socket', trustplane.adminSocket);
}

async function ask<Answer>(...args: readonly string[]): Promise<Answer> {
  const { code, stdout, stderr } = await run(...args, '--output', 'json');
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}`);
  const answer: Answer = JSON.parse(stdout);
  return answer;
}

interface Shown {
  readonly authorities: readonly {
    readonly slot: string;
    readonly authorityId: string;
    readonly tainted: boolean;
  }[];
  readonly nextStep: string;
}

interface Step {
  readonly authorityId: string;
  readonly state: string;
}

const slotsOf = async (kind: string): Promise<readonly string[]> =>
  (await ask<Shown>('authority', kind, 'show')).authorities.map(({ slot }) => slot);

async function activeOf(kind: string): Promise<string> {
  const { authorities } = await ask<Shown>('authority', kind, 'show');
  return authorities.find(({ slot }) => slot === 'active')?.authorityId ?? '';
}

const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('hex');

const signerOf = ({ svids }: X509Context): string => hex(svids[0]?.svid.leaf.authorityKeyId);

const trustedBy = ({ bundles }: X509Context): readonly string[] =>
  (bundles.get('example.org')?.x509Authorities ?? []).map(({ certificate }) =>
    hex(parseCertificate(certificate).subjectKeyId),
  );

/** A workload that keeps every event; each update was verified below the bundle it came with. */
function watchWorkload() {
  const client = createWorkloadApiClient({
    address: { kind: 'unix', path: trustplane.socket },
    clock: systemClock,
    random: Math.random,
  });
  const stop = new AbortController();
  const events: X509WatchEvent[] = [];
  const waiting = new Set<() => void>();
  const ended = (async () => {
    for await (const event of client.watchX509(stop.signal)) {
      events.push(event);
      for (const look of waiting) look();
    }
  })();
  return {
    events,
    /** Resolves with the first update that passes. */
    until: (test: (context: X509Context) => boolean) =>
      new Promise<X509Context>((resolve) => {
        const look = (): void => {
          const last = events.at(-1);
          if (last?.type !== 'update' || !test(last.context)) return;
          waiting.delete(look);
          resolve(last.context);
        };
        waiting.add(look);
        look();
      }),
    async close() {
      stop.abort();
      await ended;
      client.close();
    },
  };
}

it('an X.509 authority is replaced under an open stream, five times, without a moment without identity (FED-5)', async () => {
  const workload = watchWorkload();
  await workload.until(() => true);
  for (let round = 0; round < 5; round++) {
    const former = await activeOf('x509');
    const prepared = await ask<Step>('authority', 'x509', 'prepare');
    expect(prepared.state).toBe('prepared');
    await workload.until((context) => trustedBy(context).includes(prepared.authorityId));
    await ask('authority', 'x509', 'activate', prepared.authorityId, '--wait', '10s');
    await ask('authority', 'x509', 'taint', former);
    await workload.until((context) => signerOf(context) === prepared.authorityId);
    await ask('authority', 'x509', 'revoke', former);
    await workload.until((context) => !trustedBy(context).includes(former));
    expect(await slotsOf('x509')).toEqual(['active']);
  }
  expect(workload.events.filter(({ type }) => type !== 'update')).toEqual([]);
  await workload.close();
});

it('a JWT authority is replaced, by force while consumers may not know the next one', async () => {
  const former = await activeOf('jwt');
  const { authorityId } = await ask<Step>('authority', 'jwt', 'prepare');
  const refused = await run('authority', 'jwt', 'activate', authorityId);
  expect(refused).toMatchObject({ code: 7, stdout: '' });
  expect(refused.stderr).toContain('may hold an earlier bundle until');
  await ask('authority', 'jwt', 'activate', authorityId, '--force');
  const status = await run('rotation', 'status');
  expect(status.stdout).toMatch(/JWT authorities[^]*Alarm +\S+ signs since/u);
  await ask('authority', 'jwt', 'taint', former);
  const shown = await run('authority', 'jwt', 'show');
  expect(shown.stdout).toMatch(/old .*tainted\n/u);
  await ask('authority', 'jwt', 'revoke', former);
  expect(await activeOf('jwt')).toBe(authorityId);
});

it('the wrong slot is refused with what to do instead', async () => {
  const active = await activeOf('x509');
  for (const [verb, id, code, text] of [
    ['taint', active, 7, 'prepare and activate another one first'],
    ['revoke', active, 7, 'only an old authority can be revoked'],
    ['taint', 'ffff', 3, `${active} (active)`],
  ] as const) {
    const refused = await run('authority', 'x509', verb, id);
    expect(refused).toMatchObject({ code, stdout: '' });
    expect(refused.stderr).toContain(text);
  }
});

it('what was forced outlives a kill', async () => {
  const former = await activeOf('x509');
  const { authorityId } = await ask<Step>('authority', 'x509', 'prepare');
  await ask('authority', 'x509', 'activate', authorityId);
  await ask('authority', 'x509', 'taint', former);
  trustplane.kill('SIGKILL');
  await trustplane.ended;
  trustplane = await launchTrustplane(folder.path);
  const { authorities } = await ask<Shown>('authority', 'x509', 'show');
  expect(authorities).toMatchObject([
    { slot: 'old', authorityId: former, tainted: true },
    { slot: 'active', authorityId, tainted: false },
  ]);
});
