import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { launchAuthz } from '../test/programs/launch-authz.ts';
import { adminSocketOf, launchEnvoy, type RunningEnvoy } from '../test/programs/launch-envoy.ts';
import { launchTrustplane, runTrustplane } from '../test/programs/launch-trustplane.ts';
import { renderBootstrap } from '../test/programs/render-bootstrap.ts';
import { Child } from './child.ts';
import { asRatio, type Benchmark, median } from './measurement.ts';
import type { MeshOrder, MeshReport } from './mesh-load.ts';
import { cpuSecondsOf } from './process-cpu.ts';
import { withTemporaryFolder } from './temporary-folder.ts';

const ROUNDS = 5;
const PER_SECOND = 3_000;
const REQUESTS = 3 * PER_SECOND;
const RULES = 1_000;
const BAR = 5;
const CLIENT = 'spiffe://example.org/client';
const SERVER = 'spiffe://example.org/server';
const FILTER = /^ +- name: envoy\.filters\.http\.ext_authz\n(?: {20}.*\n)+/mu;

/** An Envoy under load, and the processes whose CPU its requests take. */
interface Side {
  readonly socket: string;
  readonly pids: readonly number[];
}

interface Round {
  readonly cpuMicros: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** CPU of each request of an Envoy that asks, its authorization server's with it, against the same Envoy without the filter. */
export const envoyCheckCpu: Benchmark = {
  name: 'envoy_check_cpu_ratio',
  about: `CPU of Envoy and "authz run" for each request at ${PER_SECOND}/s over mTLS with ${RULES} rules, against Envoy alone, by turns, median of ${ROUNDS}`,
  async run(report) {
    const [alone, asking] = await withTemporaryFolder(measure);
    const show = (side: string, rounds: readonly Round[]): void => {
      const at = (figure: keyof Round): number => median(rounds.map((round) => round[figure]));
      report(
        `${side}: ${at('cpuMicros').toFixed(0)} µs, p50 ${at('p50Ms').toFixed(2)} ms, p99 ${at('p99Ms').toFixed(2)} ms`,
      );
    };
    show('no authz', alone);
    show('authz', asking);
    const ratios = asking.map(
      ({ cpuMicros }, round) => cpuMicros / (alone[round]?.cpuMicros ?? Number.NaN),
    );
    return asRatio(envoyCheckCpu.name, median(ratios), { kind: 'at-most', ratio: BAR });
  },
};

async function measure(folder: string): Promise<[readonly Round[], readonly Round[]]> {
  await using stack = new AsyncDisposableStack();
  const up = await launchTrustplane(folder, '--log-level', 'warn');
  stack.defer(async () => void (await up.stop()));
  await up.createEntry(SERVER);
  const minted = await runTrustplane(
    ...`svid x509 mint --spiffe-id ${CLIENT}`.split(' '),
    '--admin-socket',
    up.adminSocket,
    '--write',
    folder,
  );
  if (minted.code !== 0) throw new Error(minted.stderr);
  const policies = path.join(folder, 'policies');
  mkdirSync(policies);
  writeFileSync(path.join(policies, 'p.yaml'), JSON.stringify(policyDocument()));
  const authz = launchAuthz(folder, {
    agentSocket: up.socket,
    authz: { policies, decisionLog: { file: path.join(folder, 'decisions.jsonl') } },
    metrics: { address: '127.0.0.1:0' },
  });
  stack.defer(async () => void (await authz.stop()));
  await authz.ready;
  const sides: Side[] = [];
  for (const name of ['alone', 'asking']) {
    const socket = path.join(folder, `${name}.sock`);
    const envoy = await launch(folder, name, {
      socket,
      agent: up.socket,
      authz: authz.authzSocket,
    });
    stack.defer(async () => await envoy.stop());
    await envoy.waitReady();
    sides.push({ socket, pids: name === 'alone' ? [envoy.pid] : [envoy.pid, authz.pid] });
  }
  const application = path.join(folder, 'application.sock');
  const load = new Child(new URL('mesh-load.ts', import.meta.url), folder, application);
  stack.defer(() => load.stop());
  await load.next();
  const rounds: [Round[], Round[]] = [[], []];
  for (const side of sides) await runRound(load, side);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, side] of sides.entries()) rounds[index]?.push(await runRound(load, side));
  }
  return rounds;
}

async function runRound(load: Child, { socket, pids }: Side): Promise<Round> {
  const used = (): number => pids.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0);
  const before = used();
  const order: MeshOrder = { socket, requests: REQUESTS, perSecond: PER_SECOND };
  const answer: unknown = await load.ask(order);
  const cpuMicros = ((used() - before) / REQUESTS) * 1e6;
  if (!isReport(answer)) throw new Error('no report came');
  if (answer.failed > 0) throw new Error(`${answer.failed} requests were not answered with 200`);
  return { cpuMicros, p50Ms: answer.p50Ms, p99Ms: answer.p99Ms };
}

function isReport(value: unknown): value is MeshReport {
  return typeof value === 'object' && value !== null && 'failed' in value;
}

interface Sockets {
  readonly socket: string;
  readonly agent: string;
  readonly authz: string;
}

async function launch(
  folder: string,
  name: string,
  { socket, agent, authz }: Sockets,
): Promise<RunningEnvoy> {
  const asking = await renderBootstrap('authorized-sidecar', {
    'spiffe://example.org/server': SERVER,
    '127.0.0.1:9901': adminSocketOf(folder, name),
    '0.0.0.0:8443': socket,
    '127.0.0.1:8080': path.join(folder, 'application.sock'),
    '/run/trustplane/agent.sock': agent,
    '/run/trustplane/authz.sock': authz,
  });
  const alone = asking.replace(FILTER, '');
  if (alone === asking) throw new Error('the bootstrap has no filter that asks');
  return await launchEnvoy({ folder, name, bootstrap: name === 'alone' ? alone : asking });
}

/** Each rule has a path of its own, every other with a wildcard; all are the caller's. */
function policyDocument(): object {
  return {
    apiVersion: 'trustplane/v1',
    kind: 'Policy',
    metadata: { name: 'bench' },
    service: SERVER,
    rules: Array.from({ length: RULES }, (_, at) => ({
      id: `rule-${at}`,
      from: [CLIENT],
      allow: [at % 2 ? `GET /v1/items/${at}/**` : `GET /v1/items/${at}/state`],
      map: { 'x-user': 'client' },
    })),
  };
}
