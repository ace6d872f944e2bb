import type { Log, Metrics } from '../ops/index.ts';
import {
  type Bundle,
  bundleRefreshSeconds,
  type Clock,
  type SpiffeId,
  type Timer,
} from '../spiffe/index.ts';
import { type AttestedAgent, agentExpiresAt } from './agent.ts';
import type { AgentChange } from './agent-view.ts';
import { BundleHistory } from './bundle-history.ts';

/** Somebody who does not have an authority, and why. */
export interface BehindAuthority {
  readonly who: string;
  readonly why: string;
}

/** A stream of an agent that did not take the bundle its agent confirmed. */
export interface LaggingStream {
  readonly stream: string;
  readonly reason: string;
}

/** What is known here, for other servers that ask the same. */
export interface EvidenceReport {
  /** Each X.509 authority of the bundle, and the agents of this server that may not have it. */
  readonly authorities: readonly {
    /** DER. */
    readonly certificate: Uint8Array;
    readonly count: number;
    /** Some of them. */
    readonly some: readonly BehindAuthority[];
  }[];
  /** Some of the streams that their agents named. */
  readonly laggards: readonly BehindAuthority[];
  /** Those who ask for the bundle by themselves, some of them. */
  readonly readers: readonly string[];
}

/** An X.509 authority that is to become active. */
export interface AwaitedAuthority {
  /** DER. */
  readonly certificate: Uint8Array;
  /** When it came into the bundle, milliseconds since the epoch. */
  readonly publishedAt: number;
}

/** Trust domains that are waited for; they say by themselves which own bundle they hold. */
export interface PeerWitnesses {
  /** Those who have not named a digest that `isWithIt` tells. */
  behind(isWithIt: (digest: string | undefined) => boolean): readonly BehindAuthority[];
  watch(listener: () => void): () => void;
}

export interface RotationEvidenceOptions {
  readonly ownBundle: {
    current(): Bundle;
    watch(listener: (bundle: Bundle) => void): () => void;
  };
  /** Somebody unknown reads the bundle, from a bundle endpoint. */
  readonly hasAnonymousReaders: boolean;
  readonly peers?: PeerWitnesses;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

const evidenceLimits = {
  /** How long an agent counts as live after its stream was seen last, and is waited for after a start. */
  liveMs: 30_000,
  /** How many refresh hints a bundle takes to those who ask for it by themselves. */
  refreshes: 3,
  /** Changes are told together. */
  tellMs: 20,
  /** How many of each are named in a report. */
  named: 5,
} as const;

/** What is known of one agent. */
interface Witness {
  readonly id: string;
  streams: number;
  /** When its last stream ended, milliseconds since the epoch. */
  endedAt: number;
  confirmed: string | undefined;
  laggards: readonly LaggingStream[];
  expiry: Timer | undefined;
}

/**
 * Who has which bundle (design D4): a prepared authority is ready when every live agent has confirmed a
 * bundle with it, every trust domain that is waited for has acknowledged one, and those who ask by
 * themselves have had the time to. It is what the certificate authority asks before it signs with
 * another key.
 */
export class RotationEvidence {
  readonly #options: RotationEvidenceOptions;
  readonly #startedAt: number;
  readonly #witnesses = new Map<string, Witness>();
  /** Agents that were attested before this start and have not come back, until they count as gone. */
  #awaited: Map<string, AttestedAgent> | undefined;
  /** When agents without a stream last asked, by ID. */
  readonly #polled = new Map<string, number>();
  readonly #bundles = new BundleHistory();
  readonly #listeners = new Set<() => void>();
  readonly #stops: (() => void)[];
  readonly #metrics;
  #telling: Timer | undefined;

  constructor(options: RotationEvidenceOptions) {
    this.#options = options;
    this.#startedAt = options.clock.now();
    this.#metrics = {
      live: options.metrics.gauge(
        'trustplane_agents_live_count',
        'Agents with a sync stream, or with one in the last 30 s.',
      ),
      unconfirmed: options.metrics.gauge(
        'trustplane_agents_unconfirmed_count',
        'Live agents that have not confirmed the present bundle of the own trust domain.',
      ),
    };
    this.#bundles.add(options.ownBundle.current());
    this.#stops = [
      options.ownBundle.watch((bundle) => {
        this.#bundles.add(bundle);
        this.#tell();
      }),
    ];
    if (options.peers) this.#stops.push(options.peers.watch(() => this.#tell()));
  }

  /** Takes up who was attested before, to be called once; until then nothing is ready. */
  begin(agents: {
    readonly all: Iterable<AttestedAgent>;
    watch(listener: (change: AgentChange) => void): () => void;
  }): void {
    const { clock } = this.#options;
    const awaited = [...agents.all].filter((agent) => this.#isExpected(agent));
    this.#awaited = new Map(awaited.map((agent) => [agent.id.toString(), agent]));
    const timer = clock.setTimer(this.#startedAt + evidenceLimits.liveMs - clock.now(), () => {
      this.#awaited?.clear();
      this.#tell();
    });
    this.#stops.push(
      () => timer.cancel(),
      agents.watch(({ id, agent }) => {
        if (agent === undefined || agent.banned) this.#forget(id.toString());
      }),
    );
    this.#tell();
  }

  onConnected(agentId: SpiffeId): void {
    const id = agentId.toString();
    const witness = this.#witnesses.get(id) ?? newWitness(id);
    this.#witnesses.set(id, witness);
    witness.streams++;
    witness.expiry?.cancel();
    this.#awaited?.delete(id);
    this.#polled.delete(id);
    this.#tell();
  }

  onConfirmed(agentId: SpiffeId, digest: string, laggards: readonly LaggingStream[]): void {
    const witness = this.#witnesses.get(agentId.toString());
    if (witness === undefined) return;
    witness.confirmed = digest;
    witness.laggards = laggards;
    if (laggards.length > 0) {
      const fields = { agentId: agentId.toString(), laggards: laggards.slice(0, 5) };
      this.#options.log.warn(fields, 'streams of an agent do not have the bundle');
    }
    this.#tell();
  }

  onDisconnected(agentId: SpiffeId): void {
    const witness = this.#witnesses.get(agentId.toString());
    if (witness === undefined || --witness.streams > 0) return;
    const { clock } = this.#options;
    witness.endedAt = clock.now();
    witness.expiry = clock.setTimer(evidenceLimits.liveMs, () => this.#forget(witness.id));
    this.#tell();
  }

  /** An agent without a sync stream asked for what it may serve, as SPIRE's do. */
  onPolled(agentId: SpiffeId): void {
    const id = agentId.toString();
    if ((this.#witnesses.get(id)?.streams ?? 0) > 0) return;
    this.#awaited?.delete(id);
    this.#polled.set(id, this.#options.clock.now());
  }

  /**
   * Whether everybody who has to know the authority knows it; and who does not. Streams that their
   * agents named are told of and not waited for.
   */
  check({ certificate, publishedAt }: AwaitedAuthority): {
    readonly isOpen: boolean;
    readonly behind: readonly BehindAuthority[];
    readonly opensAt?: number;
  } {
    const isWithIt = this.#bundles.holding(certificate);
    const peers = this.#options.peers?.behind(isWithIt) ?? [];
    const awaited = [...this.#notBack(), ...this.#unconfirmed(isWithIt), ...peers];
    const readers = this.#byTime(publishedAt);
    return {
      isOpen: awaited.length + readers.behind.length === 0,
      behind: [...awaited, ...readers.behind, ...this.#named(isWithIt)],
      ...(awaited.length === 0 && { opensAt: readers.opensAt }),
    };
  }

  /** Undefined until it is known which agents there are. */
  report(): EvidenceReport | undefined {
    if (this.#awaited === undefined) return undefined;
    const notBack = this.#notBack();
    const { named } = evidenceLimits;
    const groups = Map.groupBy(this.#witnesses.values(), ({ confirmed }) => confirmed);
    const authorities = this.#options.ownBundle.current().x509Authorities.map(({ certificate }) => {
      const isWithIt = this.#bundles.holding(certificate);
      const without = [...groups].filter(([digest]) => !isWithIt(digest)).map(([, group]) => group);
      const count = without.reduce((sum, { length }) => sum + length, notBack.length);
      const first = without.flatMap((group) => group.slice(0, named)).slice(0, named);
      const some = [...first.map(describeUnconfirmed), ...notBack.slice(0, named)].slice(0, named);
      return { certificate, count, some };
    });
    const laggards = [...this.#witnesses.values()].flatMap(namedBy).slice(0, named);
    return { authorities, laggards, readers: this.#readers().slice(0, named) };
  }

  /** For how long those who ask by themselves may have an earlier bundle, in milliseconds. */
  get readersHoldMs(): number {
    return (
      evidenceLimits.refreshes * bundleRefreshSeconds(this.#options.ownBundle.current()) * 1000
    );
  }

  /** Calls the listener after whatever may change what `check` says; returns the way to stop. */
  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    for (const stop of this.#stops) stop();
    for (const { expiry } of this.#witnesses.values()) expiry?.cancel();
    this.#telling?.cancel();
  }

  #notBack(): readonly BehindAuthority[] {
    if (this.#awaited === undefined) {
      return [{ who: 'this server', why: 'has not read yet which agents there are' }];
    }
    const since = new Date(this.#startedAt).toISOString();
    const why = `has not come back since the server started at ${since}`;
    return [...this.#awaited].flatMap(([who, agent]) =>
      this.#isExpected(agent) ? [{ who, why }] : [],
    );
  }

  #unconfirmed(isWithIt: (digest: string | undefined) => boolean): readonly BehindAuthority[] {
    return [...this.#witnesses.values()]
      .filter(({ confirmed }) => !isWithIt(confirmed))
      .map(describeUnconfirmed);
  }

  #named(isWithIt: (digest: string | undefined) => boolean): readonly BehindAuthority[] {
    return [...this.#witnesses.values()].flatMap((witness) =>
      isWithIt(witness.confirmed) ? namedBy(witness) : [],
    );
  }

  /** Those of whom nothing is heard but that they ask, or not even that. */
  #byTime(publishedAt: number): {
    readonly behind: readonly BehindAuthority[];
    readonly opensAt: number;
  } {
    const now = this.#options.clock.now();
    const opensAt = publishedAt + this.readersHoldMs;
    const who = this.#readers();
    if (who.length === 0 || now >= opensAt) return { behind: [], opensAt: publishedAt };
    const why = `may have an earlier bundle until ${new Date(opensAt).toISOString()}`;
    return { behind: who.map((name) => ({ who: name, why })), opensAt };
  }

  #readers(): readonly string[] {
    const { clock, hasAnonymousReaders } = this.#options;
    const since = clock.now() - this.readersHoldMs;
    for (const [id, at] of this.#polled) if (at < since) this.#polled.delete(id);
    return [
      ...this.#polled.keys(),
      ...(hasAnonymousReaders ? ['readers of the bundle endpoint'] : []),
    ];
  }

  /** Whether an agent may still be serving: one that is banned or whose SVID has ended is not waited for. */
  #isExpected(agent: AttestedAgent): boolean {
    return !agent.banned && agentExpiresAt(agent) > this.#options.clock.now();
  }

  #forget(id: string): void {
    this.#witnesses.get(id)?.expiry?.cancel();
    this.#witnesses.delete(id);
    this.#awaited?.delete(id);
    this.#polled.delete(id);
    this.#tell();
  }

  #tell(): void {
    this.#telling ??= this.#options.clock.setTimer(evidenceLimits.tellMs, () => {
      this.#telling = undefined;
      this.#count();
      for (const listener of this.#listeners) listener();
    });
  }

  #count(): void {
    const { present } = this.#bundles;
    const all = [...this.#witnesses.values()];
    this.#metrics.live.set(all.length);
    this.#metrics.unconfirmed.set(all.filter(({ confirmed }) => confirmed !== present).length);
  }
}

function describeUnconfirmed({ id, streams, endedAt }: Witness): BehindAuthority {
  const left = `left at ${new Date(endedAt).toISOString()} without having confirmed a bundle with it`;
  return { who: id, why: streams > 0 ? 'has not confirmed a bundle with it' : left };
}

function namedBy({ id, laggards }: Witness): readonly BehindAuthority[] {
  return laggards.map(({ stream, reason }) => ({ who: `${stream} at ${id}`, why: reason }));
}

function newWitness(id: string): Witness {
  const expiry = undefined;
  return { id, streams: 0, endedAt: 0, confirmed: undefined, laggards: [], expiry };
}
