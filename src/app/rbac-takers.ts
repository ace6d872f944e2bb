import type { ExtensionClient } from '../ecds/index.ts';
import type { Log, Metrics } from '../ops/index.ts';
import { type Clock, messageOf, type PolicyTaker, type Timer } from '../spiffe/index.ts';
import type { EnvoyRules, RbacNack } from './envoy-rules.ts';
import type { PolicyMark } from './pooled-rbac.ts';
import type { RbacCompiler } from './rbac-export.ts';
import type { RbacPool } from './rbac-pool.ts';

export interface RbacTakersOptions {
  readonly pool: Pick<RbacPool, 'wanted'>;
  readonly compiler: Pick<RbacCompiler, 'blame'>;
  /** Told of all, those that are behind first, after each change. */
  readonly onTakers: (takers: readonly PolicyTaker[]) => void;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** An Envoy, and what its filters decide by. */
interface Taking {
  readonly name: string;
  readonly rules: Set<EnvoyRules>;
  /** What was in force when it was looked at last, and since when. */
  inForce: PolicyMark | undefined;
  since: number | undefined;
  /** Since when it is behind, milliseconds. */
  behindSince: number | undefined;
}

/** Several filters of several Envoys say in one moment what became of one change. */
const SETTLE_MS = 10;
const MAX_NOTED = 256;
/** What Envoys refuse is compiled once more to see which rules it is about: never much of it. */
const MAX_BLAMES = 4;
const MAX_BLAMED = 1_024;

/** Which Envoy decides by which policies. */
export class RbacTakers {
  readonly #options: RbacTakersOptions;
  readonly #envoys = new Map<string, Taking>();
  /** What was logged. */
  readonly #noted = new Set<string>();
  /** By process, name and version: what was found out, or is being. */
  readonly #blamed = new Map<string, Promise<readonly string[]>>();
  #blames = 0;
  #timer: Timer | undefined;
  #told = '';

  constructor(options: RbacTakersOptions) {
    this.#options = options;
    const { metrics, clock } = options;
    metrics.readGauge(
      'trustplane_rbac_envoys_count',
      'Envoys that are given rules, by whether they decide by the present policies.',
      (set) => {
        const all = this.list();
        const behind = all.filter((taker) => this.#isBehind(taker)).length;
        set({ state: 'in-force' }, all.length - behind);
        set({ state: 'behind' }, behind);
      },
      ['state'],
    );
    metrics.readGauge(
      'trustplane_rbac_behind_seconds',
      'For how long the Envoy that is behind for longest has not had the present policies in force.',
      (set) => {
        this.list();
        const times = [...this.#envoys.values()].map(({ behindSince }) => behindSince);
        const now = clock.now();
        set(
          {},
          Math.max(0, ...times.map((since) => (since === undefined ? 0 : now - since))) / 1_000,
        );
      },
    );
  }

  add(client: ExtensionClient, rules: EnvoyRules): void {
    const name = nameOf(client);
    const fresh = { name, inForce: undefined, since: undefined, behindSince: undefined };
    const envoy = this.#envoys.get(name) ?? { ...fresh, rules: new Set() };
    this.#envoys.set(name, envoy);
    envoy.rules.add(rules);
    this.note();
  }

  remove(client: ExtensionClient, rules: EnvoyRules): void {
    const name = nameOf(client);
    const envoy = this.#envoys.get(name);
    envoy?.rules.delete(rules);
    if (envoy?.rules.size === 0) this.#envoys.delete(name);
    this.note();
  }

  /** Something may be another. */
  note(): void {
    this.#timer ??= this.#options.clock.setTimer(SETTLE_MS, () => {
      this.#timer = undefined;
      this.#tell();
    });
  }

  /** All, those that are behind first. */
  list(): readonly PolicyTaker[] {
    const takers = [...this.#envoys.values()].map((envoy) => this.#look(envoy));
    return takers.sort((a, b) => Number(this.#isBehind(b)) - Number(this.#isBehind(a)));
  }

  /** It asks for rules that it cannot be given. */
  onNone(client: ExtensionClient, name: string, fault: string): void {
    const fields = { envoy: nameOf(client), name, fault };
    if (this.#isNew(`${client.nodeId} ${name} ${fault}`))
      this.#options.log.error(fields, 'an Envoy is given no rules, and denies everything');
  }

  /** Logged once, whichever Envoys refuse it. */
  onNack(client: ExtensionClient, nack: RbacNack): void {
    const { name, refusal, built } = nack;
    const isNew = this.#isNew(`${name} ${built.config.version} ${refusal}`);
    void this.#blame(client, nack, isNew);
  }

  #isNew(what: string): boolean {
    if (this.#noted.has(what)) return false;
    if (this.#noted.size >= MAX_NOTED) this.#noted.clear();
    this.#noted.add(what);
    return true;
  }

  close(): void {
    this.#timer?.cancel();
  }

  /** Never rejects. */
  async #blame(client: ExtensionClient, nack: RbacNack, isNew: boolean): Promise<void> {
    const { name, refusal, built, onBlamed } = nack;
    const key = `${client.pid} ${name} ${built.config.version}`;
    const asked = this.#blamed.get(key) ?? this.#findBlamed(key, nack);
    const rules = await asked;
    onBlamed(rules);
    const fields = { envoy: nameOf(client), name, rules, refusal, digest: built.digest };
    if (isNew) this.#options.log.error(fields, 'an Envoy refuses its rules; the last ones stay');
  }

  /** Once for a process and a version, whatever it says how often. Never rejects. */
  #findBlamed(key: string, { built, refusal }: RbacNack): Promise<readonly string[]> {
    if (this.#blames >= MAX_BLAMES) return Promise.resolve([]);
    const { log, compiler } = this.#options;
    this.#blames++;
    const found = compiler
      .blame(built.order, refusal)
      .catch((error: unknown): readonly string[] => {
        log.debug({ error: messageOf(error) }, 'what an Envoy refuses is not found');
        return [];
      })
      .finally(() => void this.#blames--);
    if (this.#blamed.size >= MAX_BLAMED) this.#blamed.clear();
    this.#blamed.set(key, found);
    return found;
  }

  #tell(): void {
    const takers = this.list();
    const text = JSON.stringify(takers);
    if (text === this.#told) return;
    this.#told = text;
    this.#options.onTakers(takers);
  }

  /** The one of its filters that is behind speaks for it. */
  #look(envoy: Taking): PolicyTaker {
    const { pool, clock } = this.#options;
    const wanted = pool.wanted();
    const states = [...envoy.rules].map((rules) => rules.state());
    const worst =
      states.find(({ fault }) => fault !== undefined) ??
      states.find(({ inForce }) => !isSame(inForce, wanted)) ??
      states[0];
    const inForce = worst?.inForce;
    if (!isSame(inForce, envoy.inForce) || envoy.since === undefined) {
      envoy.inForce = inForce;
      envoy.since = clock.now();
    }
    if (isSame(inForce, wanted)) envoy.behindSince = undefined;
    else envoy.behindSince ??= clock.now();
    return {
      name: envoy.name,
      hash: inForce?.hash,
      digest: inForce?.digest,
      since: inForce === undefined ? undefined : envoy.since,
      fault: worst?.fault,
      refused: worst?.refused?.hash,
    };
  }

  #isBehind({ digest, hash }: PolicyTaker): boolean {
    const wanted = this.#options.pool.wanted();
    return digest !== wanted?.digest || hash !== wanted?.hash;
  }
}

function isSame(one: PolicyMark | undefined, other: PolicyMark | undefined): boolean {
  return one?.digest === other?.digest && one?.hash === other?.hash;
}

function nameOf({ nodeId, pid }: ExtensionClient): string {
  return nodeId === '' ? `envoy (pid ${pid})` : `envoy ${nodeId} (pid ${pid})`;
}
