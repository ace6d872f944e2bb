import type { Log, Metrics } from '../ops/index.ts';
import type { Clock } from '../spiffe/index.ts';
import { Lease } from './lease.ts';
import type { Bucket } from './store.ts';

/** Work that one server of a control plane should do. It has to be harmless when two do it. */
export interface Duty {
  isMine(): boolean;
  /** Calls the listener when it was got or lost; returns the way to stop. */
  watch(listener: () => void): () => void;
}

export interface DutyOptions {
  /** The bucket `leases`. */
  readonly bucket: Bucket;
  /** What the work is; `A-Z a-z 0-9 _ -`. */
  readonly name: string;
  /** The ID of this server, which no other has. */
  readonly holder: string;
  /** How long it stays with a server that was last heard of then; default 15 s. */
  readonly ttlMs?: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

const DEFAULT_TTL_MS = 15_000;

/** What the only server of a control plane has. */
export const soleDuty: Duty = { isMine: () => true, watch: () => () => {} };

/**
 * Stands in for a duty, and has it while no other server does; freed by `close`, so that another has it at once.
 * @throws TrustplaneError ERR_STORE_* when the leases cannot be read
 */
export async function holdDuty(options: DutyOptions): Promise<Duty & { close(): Promise<void> }> {
  const { name, ttlMs = DEFAULT_TTL_MS, log } = options;
  const gauge = heldGaugeOf(options.metrics);
  const lease = await Lease.open({ ...options, key: `duty.${name}`, ttlMs });
  const listeners = new Set<() => void>();
  let wasMine = lease.isMine;
  gauge.set({ duty: name }, wasMine ? 1 : 0);
  const stop = lease.watch(() => {
    if (lease.isMine === wasMine) return;
    wasMine = lease.isMine;
    gauge.set({ duty: name }, wasMine ? 1 : 0);
    log.info({ duty: name }, wasMine ? 'took a duty over' : 'a duty went to another server');
    for (const listener of listeners) listener();
  });
  return {
    isMine: () => lease.isMine,
    watch(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async close() {
      await lease.close();
      stop();
    },
  };
}

type HeldGauge = { set(labels: { readonly duty: string }, value: number): void };

const made = new WeakMap<Metrics, HeldGauge>();

/** One for all duties of a process. */
function heldGaugeOf(metrics: Metrics): HeldGauge {
  const gauge =
    made.get(metrics) ??
    metrics.gauge('trustplane_store_duty_held', '1 while this server has the duty, else 0.', [
      'duty',
    ]);
  made.set(metrics, gauge);
  return gauge;
}
