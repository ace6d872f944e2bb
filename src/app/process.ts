import {
  createLog,
  createMetrics,
  type LevelControl,
  type Log,
  type LogLevel,
  type Metrics,
  Readiness,
  systemClock,
} from '../ops/index.ts';
import { type Clock, SelectorSet } from '../spiffe/index.ts';
import { Reloader } from './reloader.ts';

/** What every role of one process shares. */
export interface Process {
  readonly log: Log;
  readonly logLevel: LevelControl;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly uid: number;
  readonly noSelectors: SelectorSet;
  /** Each part says here how it is. */
  readonly readiness: Readiness;
  /** Each part says here what it can take up of a changed configuration. */
  readonly reloader: Reloader;
  /** What is opened goes in; disposing closes it, last opened first. */
  readonly closing: AsyncDisposableStack;
  /** Resolves when something failed for good and the process must end. */
  readonly failed: Promise<Error>;
  readonly fail: (error: Error) => void;
}

export function createProcess(logLevel: LogLevel): Process {
  const { promise, resolve } = Promise.withResolvers<Error>();
  const log = createLog({ level: logLevel });
  return {
    log,
    logLevel: log,
    metrics: createMetrics(),
    clock: systemClock,
    uid: process.getuid?.() ?? -1,
    noSelectors: SelectorSet.of([]),
    readiness: new Readiness(systemClock),
    reloader: new Reloader(log),
    closing: new AsyncDisposableStack(),
    failed: promise,
    fail: resolve,
  };
}
