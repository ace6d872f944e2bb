import { type Log, type Metrics, readStartTime } from '../../ops/index.ts';
import {
  type Clock,
  type ErrorCode,
  messageOf,
  type Selector,
  SelectorSet,
  TrustplaneError,
} from '../../spiffe/index.ts';
import type { AttestableProcess, WorkloadAttestor } from './workload-attestor.ts';

export interface WorkloadAttestationOptions {
  readonly attestors: readonly WorkloadAttestor[];
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** For each attestor that has none of its own; one that takes longer adds no selectors. Default 5 s. */
  readonly timeoutMs?: number;
}

/** Tells who a process is. */
export interface WorkloadAttestation {
  /**
   * The selectors of a process, from facts read after the call. Calls in the same turn of the event
   * loop share one attestation. An attestor that fails adds nothing. `again` (of the first of these
   * calls) is called when another attestation would find more.
   * @throws TrustplaneError ERR_ATTEST_PROCESS_GONE, ERR_ATTEST_PROCESS_CHANGED, ERR_ATTEST_FAILED (all attestors failed)
   */
  attest(process: AttestableProcess, again?: () => void): Promise<SelectorSet>;
  /** What each attestor says now, in their order, for whoever asks why; never rejects, and nothing is served by it. */
  report(process: AttestableProcess): Promise<readonly AttestorReport[]>;
}

/** What one attestor found out about a process, or why it did not. */
export interface AttestorReport {
  readonly attestor: string;
  readonly selectors: readonly Selector[];
  /** Why there are none of it; undefined where it answered. */
  readonly fault: string | undefined;
  /** ERR_ATTEST_TIMEOUT where it took too long, ERR_ATTEST_FAILED where nothing better is known. */
  readonly faultCode: ErrorCode | undefined;
  readonly tookMs: number;
}

const GONE_OR_CHANGED = new Set(['ERR_ATTEST_PROCESS_GONE', 'ERR_ATTEST_PROCESS_CHANGED']);

export function createWorkloadAttestation(
  options: WorkloadAttestationOptions,
): WorkloadAttestation {
  const failures = options.metrics.counter(
    'trustplane_attest_failures_total',
    'Attestors that failed or took too long.',
    ['attestor'],
  );
  const thisTurn = new Map<AttestableProcess, Promise<SelectorSet>>();

  const ask = (
    attestor: WorkloadAttestor,
    process: AttestableProcess,
    again: () => void,
  ): Promise<readonly Selector[]> =>
    withTimeout(
      attestor.attest(process, again),
      options.clock,
      attestor.timeoutMs ?? options.timeoutMs ?? 5_000,
    );

  const askOrNote = async (
    attestor: WorkloadAttestor,
    process: AttestableProcess,
    again: () => void,
  ): Promise<readonly Selector[] | undefined> => {
    try {
      return await ask(attestor, process, again);
    } catch (error) {
      requireAlive(process);
      if (error instanceof TrustplaneError && GONE_OR_CHANGED.has(error.code)) throw error;
      failures.inc({ attestor: attestor.name });
      const { name } = attestor;
      options.log.warn(
        { attestor: name, pid: process.pid, why: messageOf(error) },
        'an attestor failed',
      );
      return undefined;
    }
  };

  const reportOne = async (
    attestor: WorkloadAttestor,
    process: AttestableProcess,
  ): Promise<AttestorReport> => {
    const startedAt = options.clock.now();
    const told = await outcomeOf(async () => {
      requireAlive(process);
      return await ask(attestor, process, () => {});
    });
    const tookMs = Math.max(0, options.clock.now() - startedAt);
    return { attestor: attestor.name, ...told, tookMs };
  };

  const attestNow = async (process: AttestableProcess, again: () => void): Promise<SelectorSet> => {
    if (!process.isAlive()) throw gone(process);
    const answers = await Promise.all(
      options.attestors.map((attestor) => askOrNote(attestor, process, again)),
    );
    // This comes last: the process lives now, so it had its pid while the facts were read.
    requireAlive(process);
    if (answers.every((answer) => answer === undefined)) throw allFailed(process);
    return SelectorSet.of(answers.flatMap((answer) => answer ?? []));
  };

  return {
    attest(process, again = () => {}) {
      const shared = thisTurn.get(process);
      if (shared !== undefined) return shared;
      const attestation = attestNow(process, again);
      thisTurn.set(process, attestation);
      queueMicrotask(() => thisTurn.delete(process));
      return attestation;
    },
    report: (process) =>
      Promise.all(options.attestors.map((attestor) => reportOne(attestor, process))),
  };
}

async function outcomeOf(
  work: () => Promise<readonly Selector[]>,
): Promise<Pick<AttestorReport, 'selectors' | 'fault' | 'faultCode'>> {
  try {
    return { selectors: await work(), fault: undefined, faultCode: undefined };
  } catch (error) {
    const faultCode = error instanceof TrustplaneError ? error.code : 'ERR_ATTEST_FAILED';
    return { selectors: [], fault: messageOf(error), faultCode };
  }
}

/** @throws TrustplaneError ERR_ATTEST_PROCESS_GONE */
function requireAlive(process: AttestableProcess): void {
  if (!hasStartTime(process) || !process.isAlive()) throw gone(process);
}

function gone({ pid }: AttestableProcess): TrustplaneError {
  return new TrustplaneError('ERR_ATTEST_PROCESS_GONE', `process ${pid} has exited`);
}

/** Beside the pidfd a second, independent witness that the pid is still of the same process. */
function hasStartTime(process: AttestableProcess): boolean {
  try {
    return readStartTime(process.pid) === process.startTime;
  } catch {
    return false;
  }
}

function allFailed(process: AttestableProcess): TrustplaneError {
  return new TrustplaneError(
    'ERR_ATTEST_FAILED',
    `no attestor could tell anything about process ${process.pid}`,
  );
}

async function withTimeout<T>(work: Promise<T>, clock: Clock, timeoutMs: number): Promise<T> {
  let expire: (error: Error) => void = () => {};
  const expired = new Promise<never>((_resolve, reject) => {
    expire = reject;
  });
  const timer = clock.setTimer(timeoutMs, () =>
    expire(new TrustplaneError('ERR_ATTEST_TIMEOUT', `it took more than ${timeoutMs} ms`)),
  );
  try {
    return await Promise.race([work, expired]);
  } finally {
    timer.cancel();
  }
}
