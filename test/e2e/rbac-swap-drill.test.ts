import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { policySchema } from '../../src/authz/index.ts';
import { compileRbac, encodeRbacExtension, rbacMessage } from '../../src/authz/rbac/index.ts';
import { EcdsServer } from '../differential/ecds-server.ts';
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

it('decides no request wrongly, and none fails, while rules are swapped; after the ACK none goes by old ones', async () => {
  const { mesh, ecds } = await launchWithServer();
  await ecds.put(rbacName, versionOf(0));
  const swap = async (version: number): Promise<void> =>
    await ecds.put(rbacName, versionOf(version));
  const report = await swapUnderLoad(mesh, SWAPS, swap);
  expect(report.wrong).toEqual([]);
  expect(report.timesMs).toHaveLength(SWAPS);
  expect(report.settled).toBeGreaterThan(SWAPS * 100);
  show(`${SWAPS} swaps of ${RULES} rules, ${report.answers} answers`, report.timesMs);
});

it('goes on by the last rules where a push is refused, and takes the next', async () => {
  const { mesh, ecds } = await launchWithServer();
  await ecds.put(rbacName, versionOf(0));
  const ask = async (line: string): Promise<number> => (await mesh.ask(line)).status;
  expect(await ask('GET /flip/0')).toBe(200);
  await expect(ecds.put(rbacName, badVersion())).rejects.toThrow('Envoy refuses');
  expect([await ask('GET /flip/0'), await ask('GET /flip/1')]).toEqual([200, 403]);
  await ecds.put(rbacName, versionOf(1));
  expect([await ask('GET /flip/0'), await ask('GET /flip/1')]).toEqual([403, 200]);
});

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
  process.stderr.write(`${what}; until decided by it p50 ${at(0.5)}, max ${at(1)} ms\n`);
}
