import type { Log } from '../ops/log.ts';
import type { Metrics } from '../ops/metrics.ts';
import type { ErrorCode } from '../spiffe/errors.ts';
import type { Answer } from './sqlite-protocol.ts';

const COMMIT_SECONDS = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5];

type Outcome = 'ok' | 'conflict' | 'failed';

/** Tells operators how the store fares: counts, and a line when writes begin to fail and when they work again. */
export interface StoreMonitor {
  queued(operations: number): void;
  answered(answers: readonly Answer[]): void;
  /** A batch of writes and what became of it; conflicts are no failures. */
  committed(answers: readonly Answer[], durationMs: number): void;
}

/** @param onWrites is told when writes begin to fail, or fail otherwise, and when they work again */
export function createStoreMonitor(
  log: Log,
  metrics: Metrics | undefined,
  onWrites: (fault: string | undefined) => void = () => {},
): StoreMonitor {
  const operations = metrics?.counter(
    'trustplane_store_operations_total',
    'Answered operations of the store by outcome: ok, conflict, failed.',
    ['outcome'],
  );
  const queue = metrics?.gauge(
    'trustplane_store_queue_operations',
    'Operations that wait for an answer of the store.',
  );
  const commits = metrics?.histogram(
    'trustplane_store_commit_seconds',
    'Time from a batch of writes to its durable answer.',
    COMMIT_SECONDS,
  );
  let failingWith: ErrorCode | undefined;
  return {
    queued: (length) => queue?.set(length),
    answered(answers) {
      for (const answer of answers) operations?.inc({ outcome: outcomeOf(answer) });
    },
    committed(answers, durationMs) {
      commits?.observe(durationMs / 1000);
      const failure = answers.find((answer) => outcomeOf(answer) === 'failed');
      const code = failure?.type === 'failed' ? failure.code : undefined;
      if (code === failingWith) return;
      failingWith = code;
      if (failure?.type === 'failed') log.error({ code, error: failure.message }, 'writes fail');
      else log.info({}, 'writes work again');
      onWrites(failure?.type === 'failed' ? failure.message : undefined);
    },
  };
}

function outcomeOf(answer: Answer): Outcome {
  if (answer.type !== 'failed') return 'ok';
  return answer.code === 'ERR_STORE_CONFLICT' ? 'conflict' : 'failed';
}
