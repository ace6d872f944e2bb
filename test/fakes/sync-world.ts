import type { AttestedAgent } from '../../src/agents/index.ts';
import { AgentEntitlements, SyncHub } from '../../src/api/index.ts';
import { AgentClosures } from '../../src/entries/agent-closures.ts';
import { EntryGraph } from '../../src/entries/entry-graph.ts';
import { createMetrics, type Metrics } from '../../src/ops/index.ts';
import {
  type AgentFacts,
  type Bundle,
  type Crl,
  emptyBundle,
  type FederationTerms,
  formatSelector,
  IdScope,
  type PolicyTexts,
  policyFile,
  type RegistrationEntry,
  type Revocation,
  type Selector,
  SpiffeId,
  TrustDomain,
} from '../../src/spiffe/index.ts';
import { FakeClock } from './fake-clock.ts';
import { FakeTrustMap } from './fake-trust-map.ts';
import { testTrustDomain } from './test-entries.ts';

/** A bundle without keys: its number is its content. */
export function numberedBundle(name: string, number: number): Bundle {
  return { ...emptyBundle(TrustDomain.parse(name)), sequenceNumber: BigInt(number) };
}

/** Terms that accept these paths of a trust domain, without any all of it. */
export function testTerms(name: string, ...paths: readonly string[]): FederationTerms {
  const trustDomain = TrustDomain.parse(name);
  const accept = paths.map((path) => IdScope.parse(trustDomain.id + path, trustDomain));
  return { accept, publisherId: SpiffeId.of(trustDomain, '/spire/server') };
}

export function testRevocation(id: string, more: Partial<Revocation> = {}): Revocation {
  return {
    id,
    kind: 'entry',
    value: id,
    issuedBefore: 1_000,
    expiresAt: Date.parse('2100-01-01T00:00:00Z'),
    reason: '',
    ...more,
  };
}

/** A version of policies with these files, by name and text. */
export function testPolicies(
  version: number,
  texts: Readonly<Record<string, string>>,
): PolicyTexts {
  const digit = String(version % 10);
  return {
    version,
    hash: digit.repeat(64),
    digest: `d${digit}`.repeat(32),
    createdAt: 1_000 * version,
    files: Object.entries(texts).map(([name, text]) => policyFile(name, Buffer.from(text))),
  };
}

/** A server as far as sync sees it: entries, agents, bundles, revocations, and a hub over them. */
export class SyncWorld {
  readonly clock: FakeClock = new FakeClock();
  readonly graph: EntryGraph = new EntryGraph();
  readonly metrics: Metrics = createMetrics();
  readonly trustMap: FakeTrustMap = new FakeTrustMap(numberedBundle(testTrustDomain.name, 1));
  readonly closures: AgentClosures = new AgentClosures(this.graph, this.clock);
  readonly #agents = new Map<string, AttestedAgent>();
  readonly #agentListeners = new Set<
    (change: { id: SpiffeId; agent: AttestedAgent | undefined }) => void
  >();
  readonly #revocationListeners = new Set<() => void>();
  #revocations: readonly Revocation[] = [];
  readonly #policyListeners = new Set<() => void>();
  #policies: PolicyTexts | undefined;
  readonly #crlListeners = new Set<() => void>();
  #crls: readonly Crl[] = [];
  #lives = 0;
  readonly #epochOf: (life: number) => string;
  readonly agents = {
    get: (id: SpiffeId): AttestedAgent | undefined => this.#agents.get(id.path),
    watch: (listener: (change: { id: SpiffeId; agent: AttestedAgent | undefined }) => void) => {
      this.#agentListeners.add(listener);
      return () => this.#agentListeners.delete(listener);
    },
  };
  entitlements: AgentEntitlements;
  hub: SyncHub;

  constructor(epochOf: (life: number) => string = (life) => `life-${life}`) {
    this.#epochOf = epochOf;
    this.entitlements = this.#openEntitlements();
    this.hub = this.#openHub();
  }

  /** The server stops and starts again. */
  restart(): void {
    this.hub.close();
    this.entitlements.close();
    this.entitlements = this.#openEntitlements();
    this.hub = this.#openHub();
  }

  putAgent(id: SpiffeId, selectors: readonly Selector[], more: Partial<AttestedAgent> = {}): void {
    const agent: AttestedAgent = {
      id,
      attestationType: 'test',
      selectors,
      svid: { serialNumber: '01', expiresAt: 0, keyDigest: '' },
      renewedSvid: undefined,
      banned: false,
      canReattest: false,
      agentVersion: '',
      attestedAt: 0,
      ...more,
    };
    this.#agents.set(id.path, agent);
    for (const listener of this.#agentListeners) listener({ id, agent });
  }

  deleteAgent(id: SpiffeId): void {
    this.#agents.delete(id.path);
    for (const listener of this.#agentListeners) listener({ id, agent: undefined });
  }

  /** Puts (an entry) and removes (an ID), all in one change. */
  changeEntries(...steps: readonly (RegistrationEntry | string)[]): void {
    const latest = new Map<string, RegistrationEntry | undefined>();
    const changes = steps.flatMap((step) => {
      const id = typeof step === 'string' ? step : step.id;
      const before = latest.has(id) ? latest.get(id) : this.graph.get(id);
      const after = typeof step === 'string' ? undefined : step;
      latest.set(id, after);
      return before === undefined && after === undefined ? [] : [{ before, after }];
    });
    this.graph.apply(changes);
  }

  setRevocations(revocations: readonly Revocation[]): void {
    this.#revocations = revocations;
    for (const listener of this.#revocationListeners) listener();
  }

  setCrls(...crls: readonly Crl[]): void {
    this.#crls = crls;
    for (const listener of this.#crlListeners) listener();
  }

  setPolicies(policies: PolicyTexts | undefined): void {
    this.#policies = policies;
    for (const listener of this.#policyListeners) listener();
  }

  get revocations(): readonly Revocation[] {
    return this.#revocations;
  }

  /** What an agent is to know now, computed anew from its definition. */
  factsOf(id: SpiffeId, takesTerms: boolean = true): AgentFacts {
    const { own, federated, terms } = this.trustMap.current();
    const entries = closureOf([...this.graph.entries], this.#agents.get(id.path), id);
    const names = new Set(
      [...entries.values()].flatMap(({ federatesWith }) => federatesWith.map(({ name }) => name)),
    );
    const heldTerms = [...terms].filter(([name]) => names.has(name));
    const isScoped = (name: string): boolean => (terms.get(name)?.accept ?? []).length > 0;
    const heldBundles = [...federated].filter(
      ([name]) => names.has(name) && (takesTerms || !isScoped(name)),
    );
    const trust = {
      own,
      federated: new Map(heldBundles),
      terms: new Map(takesTerms ? heldTerms : []),
    };
    return { entries, trust, revocations: this.#revocations };
  }

  #openEntitlements(): AgentEntitlements {
    return new AgentEntitlements(this.agents, {
      authorizedEntries: (node) => this.closures.open(node),
    });
  }

  #openHub(): SyncHub {
    return new SyncHub({
      agents: this.agents,
      entitlements: this.entitlements,
      trustMap: this.trustMap,
      revocations: {
        list: () => this.#revocations,
        watch: (listener) => {
          this.#revocationListeners.add(listener);
          return () => this.#revocationListeners.delete(listener);
        },
      },
      policies: {
        current: () => this.#policies,
        watch: (listener) => {
          this.#policyListeners.add(listener);
          return () => this.#policyListeners.delete(listener);
        },
      },
      crls: {
        list: () => this.#crls,
        watch: (listener) => {
          this.#crlListeners.add(listener);
          return () => this.#crlListeners.delete(listener);
        },
      },
      clock: this.clock,
      metrics: this.#lives === 0 ? this.metrics : createMetrics(),
      epoch: this.#epochOf(this.#lives++),
    });
  }
}

function closureOf(
  all: readonly RegistrationEntry[],
  agent: AttestedAgent | undefined,
  id: SpiffeId,
): ReadonlyMap<string, RegistrationEntry> {
  const shown = new Set([
    ...(agent?.selectors ?? []).map(formatSelector),
    `spiffe_id:${id.toString()}`,
  ]);
  const isAlias = ({ parentId, selectors }: RegistrationEntry): boolean =>
    parentId.path === '/spire/server' &&
    selectors.every((selector) => shown.has(formatSelector(selector)));
  const reached = new Set([id.path, ...all.filter(isAlias).map(({ spiffeId }) => spiffeId.path)]);
  const members = new Map<string, RegistrationEntry>();
  for (let grew = true; grew; ) {
    const more = all.filter((entry) => !members.has(entry.id) && reached.has(entry.parentId.path));
    for (const entry of more) members.set(entry.id, entry);
    for (const { spiffeId } of more) reached.add(spiffeId.path);
    grew = more.length > 0;
  }
  return members;
}

/** Facts as text: equal exactly when they say the same. */
export function describeFacts({ entries, trust, revocations }: AgentFacts): string {
  const text = (value: unknown): string =>
    JSON.stringify(value, (_, item: unknown) => (typeof item === 'bigint' ? `${item}` : item));
  return [
    ...[...entries.values()].map(text).sort(),
    text(trust.own),
    ...[...trust.federated.values()].map(text).sort(),
    ...[...trust.terms].map(text).sort(),
    ...revocations.map(text).sort(),
  ].join('\n');
}

export const agentIdOf = (name: string): SpiffeId =>
  SpiffeId.parse(`spiffe://${testTrustDomain.name}/spire/agent/test/${name}`);
