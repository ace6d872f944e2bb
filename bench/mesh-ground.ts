import path from 'node:path';
import { adminSocketOf, launchEnvoy } from '../test/programs/launch-envoy.ts';
import {
  launchTrustplane,
  type RunningTrustplane,
  runTrustplane,
} from '../test/programs/launch-trustplane.ts';
import { renderBootstrap } from '../test/programs/render-bootstrap.ts';
import { Child } from './child.ts';
import { median } from './measurement.ts';
import type { MeshOrder, MeshReport } from './mesh-load.ts';
import { cpuSecondsOf } from './process-cpu.ts';

/** Offered to each side. */
export const REQUESTS_PER_SECOND = 3_000;
/** Of each, by turns. */
export const MESH_ROUNDS = 5;
const REQUESTS = 3 * REQUESTS_PER_SECOND;
const SERVER = 'spiffe://example.org/server';
const FILTER = /^ +- name: envoy\.filters\.http\.ext_authz\n(?: {20}.*\n)+/mu;

/** An Envoy under load, and the processes whose CPU its requests take. */
export interface MeshSide {
  readonly name: string;
  readonly socket: string;
  readonly pids: readonly number[];
}

export interface MeshRound {
  readonly cpuMicros: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** A control plane, an application, and who calls it through Envoys over mTLS, one request after the other. */
export class MeshGround implements AsyncDisposable {
  readonly trustplane: RunningTrustplane;
  readonly #folder: string;
  readonly #stack: AsyncDisposableStack;
  readonly #load: Child;

  private constructor(
    folder: string,
    trustplane: RunningTrustplane,
    load: Child,
    stack: AsyncDisposableStack,
  ) {
    this.#folder = folder;
    this.trustplane = trustplane;
    this.#load = load;
    this.#stack = stack;
  }

  /** `client`: the SPIFFE ID of who calls. */
  static async open(folder: string, client: string): Promise<MeshGround> {
    await using stack = new AsyncDisposableStack();
    const up = await launchTrustplane(folder, '--log-level', 'warn');
    stack.defer(async () => void (await up.stop()));
    await up.createEntry(SERVER);
    const minted = await runTrustplane(
      ...`svid x509 mint --spiffe-id ${client}`.split(' '),
      '--admin-socket',
      up.adminSocket,
      '--write',
      folder,
    );
    if (minted.code !== 0) throw new Error(minted.stderr);
    const application = path.join(folder, 'application.sock');
    const load = new Child(new URL('mesh-load.ts', import.meta.url), folder, application);
    stack.defer(() => load.stop());
    await load.next();
    return new MeshGround(folder, up, load, stack.move());
  }

  /**
   * Starts the sidecar that asks at `authz`, with `filters`, in the place of the one that asks; none: as it is.
   * `beside`: other processes that its requests take.
   */
  async launch(
    name: string,
    { authz = '/nowhere', filters, beside = [] }: MeshSideOptions,
  ): Promise<MeshSide> {
    const socket = path.join(this.#folder, `${name}.sock`);
    const asking = await renderBootstrap('authorized-sidecar', {
      'spiffe://example.org/server': SERVER,
      '127.0.0.1:9901': adminSocketOf(this.#folder, name),
      '0.0.0.0:8443': socket,
      '127.0.0.1:8080': path.join(this.#folder, 'application.sock'),
      '/run/trustplane/agent.sock': this.trustplane.socket,
      '/run/trustplane/authz.sock': authz,
    });
    const items = filters?.map((filter) => `                  - ${JSON.stringify(filter)}\n`);
    const bootstrap = items === undefined ? asking : asking.replace(FILTER, () => items.join(''));
    if (items !== undefined && bootstrap === asking) throw new Error('no filter there asks');
    const envoy = await launchEnvoy({ folder: this.#folder, name, bootstrap });
    this.#stack.defer(async () => await envoy.stop());
    await envoy.waitReady(60_000);
    return { name, socket, pids: [envoy.pid, ...beside] };
  }

  /** Each side after a round to warm up: its rounds, by turns with those of the others. `paths`: of `/v1/items/N/state`. */
  async measure(
    sides: readonly MeshSide[],
    paths: number,
    report: (progress: string) => void,
  ): Promise<readonly (readonly MeshRound[])[]> {
    const rounds = sides.map((): MeshRound[] => []);
    for (const side of sides) await this.#round(side, paths);
    for (let round = 0; round < MESH_ROUNDS; round++)
      for (const [index, side] of sides.entries())
        rounds[index]?.push(await this.#round(side, paths));
    for (const [index, { name }] of sides.entries()) {
      const at = (figure: keyof MeshRound): number =>
        median(rounds[index]?.map((one) => one[figure]) ?? []);
      report(
        `${name}: ${at('cpuMicros').toFixed(0)} µs, p50 ${at('p50Ms').toFixed(2)} ms, p99 ${at('p99Ms').toFixed(2)} ms`,
      );
    }
    return rounds;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Before the connections that it has are closed.
    this.#load.stop();
    await this.#stack.disposeAsync();
  }

  async #round({ socket, pids }: MeshSide, paths: number): Promise<MeshRound> {
    const used = (): number => pids.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0);
    const before = used();
    const order: MeshOrder = {
      socket,
      requests: REQUESTS,
      perSecond: REQUESTS_PER_SECOND,
      paths,
    };
    const answer: unknown = await this.#load.ask(order);
    const cpuMicros = ((used() - before) / REQUESTS) * 1e6;
    if (!isReport(answer)) throw new Error('no report came');
    if (answer.failed > 0) throw new Error(`${answer.failed} requests were not answered with 200`);
    return { cpuMicros, p50Ms: answer.p50Ms, p99Ms: answer.p99Ms };
  }
}

export interface MeshSideOptions {
  readonly authz?: string;
  readonly filters?: readonly object[];
  readonly beside?: readonly number[];
}

/** Of the CPU of `rounds` to that of the baseline's, round by round: the median. */
export function medianCpuRatio(
  rounds: readonly MeshRound[] = [],
  baseline: readonly MeshRound[] = [],
): number {
  return median(
    rounds.map(({ cpuMicros }, round) => cpuMicros / (baseline[round]?.cpuMicros ?? Number.NaN)),
  );
}

function isReport(value: unknown): value is MeshReport {
  return typeof value === 'object' && value !== null && 'failed' in value;
}
