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
    const behind: BehindAuthority[] = [];
    for (const { id, streams, endedAt, confirmed } of this.#witnesses.values()) {
      if (isWithIt(confirmed)) continue;
      const why =
        streams > 0
          ? 'has not confirmed a bundle with it'
          : `left at ${new Date(endedAt).toISOString()} without having confirmed a bundle with it`;
      behind.push({ who: id, why });
    }
    return behind;
  }

  #named(isWithIt: (digest: string | undefined) => boolean): readonly BehindAuthority[] {
    return [...this.#witnesses.values()].flatMap(({ id, confirmed, laggards }) =>
      isWithIt(confirmed)
        ? laggards.map(({ stream, reason }) => ({ who: `${stream} at ${id}`, why: reason }))
        : [],
    );
  }

  /** Those of whom nothing is heard but that they ask, or not even that. */
  #byTime(publishedAt: number): {
    readonly behind: readonly BehindAuthority[];
    readonly opensAt: number;
  } {
    const { clock, ownBundle, hasAnonymousReaders } = this.#options;
    const now = clock.now();
    const holdMs = evidenceLimits.refreshes * bundleRefreshSeconds(ownBundle.current()) * 1000;
    const opensAt = publishedAt + holdMs;
    for (const [id, at] of this.#polled) if (at + holdMs < now) this.#polled.delete(id);
    const who = [
      ...this.#polled.keys(),
      ...(hasAnonymousReaders ? ['readers of the bundle endpoint'] : []),
    ];
    if (who.length === 0 || now >= opensAt) return { behind: [], opensAt: publishedAt };
    const why = `may have an earlier bundle until ${new Date(opensAt).toISOString()}`;
    return { behind: who.map((name) => ({ who: name, why })), opensAt };
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

function newWitness(id: string): Witness {
  const expiry = undefined;
  return { id, streams: 0, endedAt: 0, confirmed: undefined, laggards: [], expiry };
}
