import type { Metrics } from '../ops/index.ts';
import {
  generateP256KeyPair,
  type SelectorSet,
  TrustplaneError,
  type WorkloadAttachment,
  type WorkloadGroup,
  type WorkloadListener,
  type WorkloadSource,
  workloadGroupOf,
} from '../spiffe/index.ts';
import { createSvidMetrics } from './svid-metrics.ts';
import type { SvidFailure, SvidStanding } from './svid-slot.ts';
import { WorkloadCache, type WorkloadCacheOptions } from './workload-cache.ts';
import { WorkloadSession } from './workload-session.ts';

const MAX_REPORTED_FAILURES = 20;

export interface WorkloadSourceOptions<P>
  extends Omit<WorkloadCacheOptions, 'metrics' | 'generateKeyPair'> {
  readonly metrics: Metrics;
  /** Attests a process as it is now; rejects when it can't be told what it is. Settles within a bounded time; `again` asks for another attestation later. */
  attest(process: P, again: () => void): Promise<SelectorSet>;
  /** False once the process is dead or replaced. */
  isAlive(process: P): boolean;
}

/** Whether every entry that is needed has a fresh SVID. */
export interface SvidHealth {
  readonly isOk: boolean;
  /** At most 20. */
  readonly failing: readonly SvidFailure[];
}

/** The live identities of all attached workloads. */
export interface LiveWorkloadSource<P> extends WorkloadSource<P> {
  health(): SvidHealth;
  /** The processes that are attached, by what they show. */
  groups(): readonly WorkloadGroup[];
  /** Calls the listener after one came, left or shows something else. Returns the way to stop. */
  watchGroups(listener: () => void): () => void;
  /** How an entry's SVID stands; undefined when nobody has asked for it lately. */
  standing(entryId: string): SvidStanding | undefined;
  /** Stops all renewal and delivery; listeners are not told. */
  close(): void;
}

/** Live identities per process `P` (an object: the same one for all streams of one process). */
export function createWorkloadSource<P extends object>(
  options: WorkloadSourceOptions<P>,
): LiveWorkloadSource<P> {
  const metrics = createSvidMetrics(options.metrics);
  const groupListeners = new Set<() => void>();
  const cache = new WorkloadCache({
    ...options,
    metrics,
    generateKeyPair: generateP256KeyPair,
    onMembers: () => {
      for (const listener of groupListeners) listener();
    },
  });
  const sessions = new Map<P, WorkloadSession>();

  const open = (process: P): WorkloadSession => {
    const session: WorkloadSession = new WorkloadSession({
      attest: (again) => options.attest(process, again),
      isAlive: () => options.isAlive(process),
      enter: (selectors, onUpdate) => cache.enter(selectors, onUpdate),
      onEmpty: () => {
        if (sessions.get(process) === session) sessions.delete(process);
        metrics.sessions.set(sessions.size);
      },
      log: options.log,
      metrics,
    });
    sessions.set(process, session);
    metrics.sessions.set(sessions.size);
    return session;
  };

  let isClosed = false;
  return {
    attach: (process: P, listener: WorkloadListener): WorkloadAttachment =>
      isClosed ? refuse(listener) : (sessions.get(process) ?? open(process)).attach(listener),
    health: () => {
      const failing = cache.failing(MAX_REPORTED_FAILURES);
      return { isOk: failing.length === 0, failing };
    },
    standing: (entryId) => cache.standing(entryId),
    groups: () =>
      cache.groups().map(({ selectors, workloads }) => workloadGroupOf(selectors, workloads)),
    watchGroups: (listener) => {
      groupListeners.add(listener);
      return () => groupListeners.delete(listener);
    },
    close: () => {
      isClosed = true;
      groupListeners.clear();
      for (const session of sessions.values()) session.close();
      cache.close();
    },
  };
}

function refuse(listener: WorkloadListener): WorkloadAttachment {
  const reason = new TrustplaneError('ERR_SVID_CLOSED', 'the source of identities is closed');
  queueMicrotask(() => listener.onGone(reason));
  return { close: () => {} };
}
