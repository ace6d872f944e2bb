import type { ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import type { Log } from '../ops/index.ts';
import {
  type Clock,
  messageOf,
  type ResourceReport,
  type StreamRegister,
  TrustplaneError,
} from '../spiffe/index.ts';
import { type PeerProcess, peerOf, toServiceError } from '../wire/index.ts';
import { processGone } from './refusals.ts';
import { requireSecurityHeader } from './security-header.ts';
import type { StreamQuota } from './stream-quota.ts';
import type { WorkloadMetrics } from './workload-metrics.ts';

export type UnaryHandler = (
  call: ServerUnaryCall<Buffer, Buffer>,
  respond: sendUnaryData<Buffer>,
) => unknown;

/** A question of one process; `signal` aborts when nobody waits for the answer any more. */
export interface Question {
  readonly process: PeerProcess;
  readonly request: Buffer;
  readonly signal: AbortSignal;
  /** What is asked for, for whoever asks why. */
  readonly note: (asked: ResourceReport) => void;
}

/** What all calls of one method share. */
export interface UnaryCallOptions {
  readonly method: string;
  readonly quota: StreamQuota<PeerProcess>;
  readonly log: Log;
  readonly metrics: WorkloadMetrics;
  readonly clock: Clock;
  /** Where calls are noted while they are open, and what was refused. */
  readonly register: StreamRegister | undefined;
}

/** A unary handler that judges the header and counts the call for its process before it is answered. */
export function createUnaryHandler(
  options: UnaryCallOptions,
  answer: (question: Question) => Promise<Buffer>,
): UnaryHandler {
  const { method, quota, log, metrics, clock, register } = options;
  return async (call, respond) => {
    let release = (): void => {};
    let unregister: ReturnType<StreamRegister['open']> | undefined;
    let resources: readonly ResourceReport[] = [];
    const note = (asked: ResourceReport): void => void (resources = [asked]);
    try {
      requireSecurityHeader(call.metadata);
      const process = peerOf(call);
      release = quota.take(process);
      const { pid, uid, startTime } = process;
      const openedAt = clock.now();
      unregister = register?.open(() => ({
        service: method,
        pid,
        uid,
        startTime,
        node: '',
        openedAt,
        resources,
      }));
      const left = new AbortController();
      call.once('cancelled', () => left.abort());
      const response = await answer({ process, request: call.request, signal: left.signal, note });
      if (!process.isAlive()) throw processGone();
      metrics.responses.inc({ method });
      respond(null, response);
    } catch (error) {
      const code = error instanceof TrustplaneError ? error.code : 'ERR_INTERNAL';
      metrics.errors.inc({ method, code });
      unregister?.(`${messageOf(error)} (${code})`);
      if (code === 'ERR_INTERNAL') log.error({ method, err: error }, 'Workload API call failed');
      else log.debug({ method, code }, 'Workload API call refused');
      respond(toServiceError(error));
    } finally {
      unregister?.();
      release();
    }
  };
}
