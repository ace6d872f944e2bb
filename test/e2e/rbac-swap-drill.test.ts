import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { policySchema } from '../../src/authz/index.ts';
import { compileRbac, encodeRbacExtension, rbacMessage } from '../../src/authz/rbac/index.ts';
import { EcdsServer } from '../differential/ecds-server.ts';
import { eventually } from '../programs/eventually.ts';
import {
  openRbacMesh,
  type RbacMesh,
  type RbacMeshOptions,
  rbacName,
  rbacPolicy,
  rbacService,
} from '../programs/open-rbac-mesh.ts';
import { swappedRules, swapUnderLoad } from '../programs/rbac-swaps.ts';

/** `SWAPS=500` for a longer one. */
const SWAPS = Number(process.env['SWAPS'] ?? 50);
const RULES = 1_000;
/** Of the agent; `AWAY_SECONDS=15` for the time that is promised something about. */
const AWAY_SECONDS = Number(process.env['AWAY_SECONDS'] ?? 3);
const LONG_AWAY_SECONDS = 15;
const BACK_WITHIN_MS = 2_000;
/** The least that can be configured. */
const TTL_SECONDS = 5;

it('decides no request wrongly, and none fails, while rules are swapped; after the ACK none goes by old ones', async () => {
  const { mesh, ecds } = await launchWithServer();
  await ecds.put(rbacName, versionOf(0));
  const swap = async (version: number): Promise<void> =>
    await ecds.put(rbacName, versionOf(version));
  const report = await swapUnderLoad(mesh, SWAPS, swap);
  expect(report.wrong).toEqual([]);
  expect(report.timesMs).toHaveLength(SWAPS);
  expect(report.settled).toBeGreaterThan(SWAPS * 100);
  show(
    `${SWAPS} swaps of ${RULES} rules, ${report.answers} answers, until decided by it`,
    report.timesMs,
  );
});

it('goes on by the last rules where a push is refused, and takes the next', async () => {
  const { mesh, ecds } = await launchWithServer();
  await ecds.put(rbacName, versionOf(0));
  const ask = async (line: string): Promise<number> => await statusOf(mesh, line);
  expect(await ask('GET /flip/0')).toBe(200);
  await expect(ecds.put(rbacName, badVersion())).rejects.toThrow('Envoy refuses');
  expect([await ask('GET /flip/0'), await ask('GET /flip/1')]).toEqual([200, 403]);
  await ecds.put(rbacName, versionOf(1));
  expect([await ask('GET /flip/0'), await ask('GET /flip/1')]).toEqual([403, 200]);
});

it('decides no request wrongly while policies are edited, and the agent brings their rules', async () => {
  const mesh = await launch({ rules: swappedRules(0, RULES) });
  await mesh.untilAllowed('GET /flip/0');
  const report = await swapUnderLoad(mesh, SWAPS, async (version, first) => {
    mesh.save(swappedRules(version, RULES));
    await first;
  });
  expect(report.wrong).toEqual([]);
  show(
    `${SWAPS} edits of ${RULES} rules, ${report.answers} answers, until decided by it`,
    report.timesMs,
  );
});

it('goes on by the last rules while the agent is away, and by new ones soon after', async () => {
  const mesh = await launch({ rules: swappedRules(0, RULES) });
  await mesh.untilAllowed('GET /flip/0');
  mesh.trustplane.kill('SIGKILL');
  await mesh.trustplane.ended;
  mesh.save(swappedRules(1, RULES));
  const over = performance.now() + AWAY_SECONDS * 1_000;
  while (performance.now() < over) {
    const answers = [await statusOf(mesh, 'GET /flip/0'), await statusOf(mesh, 'GET /flip/1')];
    expect(answers).toEqual([200, 403]);
  }
  await mesh.restartTrustplane();
  const back = performance.now();
  await mesh.untilAllowed('GET /flip/1');
  const elapsedMs = performance.now() - back;
  show(`away for ${AWAY_SECONDS} s, new rules after`, [elapsedMs]);
  expect(elapsedMs).toBeLessThan(AWAY_SECONDS >= LONG_AWAY_SECONDS ? BACK_WITHIN_MS : 60_000);
});

it.each(['delta', 'sotw'])(
  'denies everything when rules are older than they may be, until the agent is back: %s',
  async (protocol) => {
    const isSotw = protocol === 'sotw';
    const ttl = `${TTL_SECONDS}s`;
    const mesh = await launch({ rules: swappedRules(0, 10), authz: { rbac: { ttl } }, isSotw });
    await mesh.untilAllowed('GET /always');
    const longer = performance.now() + 1.5 * TTL_SECONDS * 1_000;
    while (performance.now() < longer) expect(await statusOf(mesh, 'GET /always')).toBe(200);
    mesh.trustplane.kill('SIGKILL');
    await mesh.trustplane.ended;
    const gone = performance.now();
    expect(await statusOf(mesh, 'GET /always')).toBe(200);
    await eventually('expiry', async () => (await statusOf(mesh, 'GET /always')) === 403);
    show(`rules may be ${TTL_SECONDS} s old, denied after`, [performance.now() - gone]);
    await mesh.restartTrustplane();
    await mesh.untilAllowed('GET /always');
  },
);

async function statusOf(mesh: RbacMesh, line: string): Promise<number> {
  return (await mesh.ask(line)).status;
}

async function launch(options: RbacMeshOptions): Promise<RbacMesh> {
  const mesh = await openRbacMesh(options);
  onTestFinished(async () => await mesh.close());
  return mesh;
}

/** With a server that says when Envoy has acknowledged. */
async function launchWithServer(): Promise<{ mesh: RbacMesh; ecds: EcdsServer }> {
  const ecds = new EcdsServer();
  onTestFinished(async () => await ecds[Symbol.asyncDispose]());
  const listen = async (folder: string): Promise<string> => {
    const socket = path.join(folder, 'ecds.sock');
    await ecds.listen(socket);
    return socket;
  };
  return { mesh: await launch({ rules: [], ecdsSocket: listen }), ecds };
}

/** Of a TypedExtensionConfig. */
function versionOf(version: number): Uint8Array {
  const policy = policySchema.parse(rbacPolicy(swappedRules(version, RULES)));
  const { alone } = compileRbac({
    policies: [policy],
    service: { spiffeId: rbacService },
    target: 'http',
    layout: 'nested',
    terms: {
      trusted: [{ trustDomain: 'example.org', accept: undefined }],
      revokedIds: [],
      revokedSerials: [],
      isBlind: false,
      tokenHeaders: [],
      proxies: [],
      jwt: { namespace: 'envoy.filters.http.jwt_authn', payloadKey: 'jwt_payload' },
    },
  });
  return encodeRbacExtension(rbacName, rbacMessage({ target: 'http', matcher: alone }));
}

/** A regex that RE2 does not take. */
function badVersion(): Uint8Array {
  return encodeRbacExtension(
    rbacName,
    rbacMessage({
      target: 'http',
      matcher: {
        kind: 'list',
        entries: [
          {
            when: {
              kind: 'value',
              input: { kind: 'path' },
              match: { kind: 'regex', regex: '/flip/(?!1)' },
            },
            then: { kind: 'action', name: 'bad', action: 'ALLOW' },
          },
        ],
        otherwise: undefined,
      },
    }),
  );
}

function show(what: string, timesMs: readonly number[]): void {
  const sorted = [...timesMs].sort((a, b) => a - b);
  const at = (part: number): string =>
    (sorted[Math.ceil(part * sorted.length) - 1] ?? Number.NaN).toFixed(0);
  process.stderr.write(`${what}: p50 ${at(0.5)}, max ${at(1)} ms\n`);
}
