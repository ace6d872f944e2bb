import { type Log, silentLog } from '../../src/ops/log.ts';
import { createMetrics } from '../../src/ops/metrics.ts';
import {
  parseSelector,
  SelectorSet,
  TrustDomain,
  type WorkloadListener,
  type WorkloadUpdate,
} from '../../src/spiffe/index.ts';
import {
  createWorkloadSource,
  type LiveWorkloadSource,
  type RestoredSvid,
} from '../../src/svid/index.ts';
import { FakeClock, settle } from './fake-clock.ts';
import { FakeEntitlements } from './fake-entitlements.ts';
import { FakeRevocations } from './fake-revocations.ts';
import { FakeSvidIssuer } from './fake-svid-issuer.ts';
import { FakeTrustMap } from './fake-trust-map.ts';

/** A process whose selectors the test decides. */
export interface FakeProcess {
  selectors: readonly string[];
  alive: boolean;
  failure: Error | undefined;
  attestations: number;
  /** What the attestor calls when it has found out more. */
  again: () => void;
  /** Attestations wait for it. */
  gate: Promise<void>;
}

export function fakeProcess(...selectors: readonly string[]): FakeProcess {
  return {
    selectors: selectors.length === 0 ? ['unix:uid:1000'] : selectors,
    alive: true,
    failure: undefined,
    attestations: 0,
    again: () => {},
    gate: Promise.resolve(),
  };
}

/** A listener that remembers. */
export class RecordingListener implements WorkloadListener {
  readonly updates: WorkloadUpdate[] = [];
  gone: Error | undefined;

  get last(): WorkloadUpdate | undefined {
    return this.updates.at(-1);
  }

  /** The last update's SPIFFE ID paths. */
  get paths(): readonly string[] | undefined {
    return this.last?.identities.map(({ spiffeId }) => spiffeId.path);
  }

  onUpdate(update: WorkloadUpdate): void {
    if (this.gone !== undefined) throw new Error('an update after onGone');
    this.updates.push(update);
  }

  onGone(reason: Error): void {
    if (this.gone !== undefined) throw new Error('onGone twice');
    this.gone = reason;
  }
}

/** The real live identity model between fakes. */
export interface SvidPlane {
  readonly clock: FakeClock;
  readonly entries: FakeEntitlements;
  readonly issuer: FakeSvidIssuer;
  readonly trust: FakeTrustMap;
  readonly revocations: FakeRevocations;
  /** The SVIDs in use, by entry ID, as the source told of them. */
  readonly kept: ReadonlyMap<string, RestoredSvid>;
  readonly source: LiveWorkloadSource<FakeProcess>;
  /** The value of a metric without labels. */
  metric(name: string): Promise<number>;
  /** Attaches and lets everything settle. */
  attach(process: FakeProcess): Promise<RecordingListener>;
  settle(): Promise<void>;
}

export function createSvidPlane(
  options: {
    readonly random?: () => number;
    readonly log?: Log;
    /** Of the entitlements at first; default true. */
    readonly isComplete?: boolean;
    /** Goes on where that one ended, in a new process: the same servers, nothing attached. */
    readonly after?: SvidPlane;
    /** Instead of what that one kept. */
    readonly restored?: readonly RestoredSvid[];
  } = {},
): SvidPlane {
  const { after } = options;
  const clock = after?.clock ?? new FakeClock();
  const entries = after?.entries ?? new FakeEntitlements();
  entries.restart(options.isComplete ?? true);
  const issuer =
    after?.issuer ??
    new FakeSvidIssuer(clock, TrustDomain.parse('a.test'), (id) => entries.get(id));
  const trust = after?.trust ?? new FakeTrustMap(issuer.bundle());
  const revocations = after?.revocations ?? new FakeRevocations();
  const restored = options.restored ?? [...(after?.kept.values() ?? [])];
  const kept = new Map(restored.map((each) => [each.entryId, each]));
  const metrics = createMetrics();
  const source = createWorkloadSource<FakeProcess>({
    clock,
    entitlements: entries,
    issuer,
    trust,
    metrics,
    revocations,
    restored,
    onSvid: (entryId, svid) => {
      if (svid === undefined) kept.delete(entryId);
      else kept.set(entryId, { entryId, ...svid });
    },
    log: options.log ?? silentLog,
    random: options.random ?? (() => 0.5),
    isAlive: (process) => process.alive,
    attest: async (process, again) => {
      process.attestations++;
      process.again = again;
      const selectors = SelectorSet.of(process.selectors.map(parseSelector));
      const { failure } = process;
      await process.gate;
      if (failure !== undefined) throw failure;
      return selectors;
    },
  });
  return {
    clock,
    entries,
    issuer,
    trust,
    revocations,
    kept,
    source,
    async metric(name) {
      const line = (await metrics.render()).split('\n').find((line) => line.startsWith(`${name} `));
      return Number(line?.split(' ')[1]);
    },
    async attach(process) {
      const listener = new RecordingListener();
      source.attach(process, listener);
      await settle();
      await settle();
      return listener;
    },
    async settle() {
      await settle();
      await settle();
    },
  };
}
