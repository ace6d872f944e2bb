import {
  createLog,
  createMetrics,
  keepYoungGenerationSmall,
  type LevelControl,
  type Log,
  type LogLevel,
  type Metrics,
  Readiness,
  systemClock,
  Tracing,
} from '../ops/index.ts';
import { type Clock, SelectorSet } from '../spiffe/index.ts';
import type { GrpcService } from '../wire/index.ts';
import { Reloader } from './reloader.ts';

/** What every role of one process shares. */
export interface Process {
  readonly log: Log;
  readonly logLevel: LevelControl;
  readonly metrics: Metrics;
  /** What changes is followed through; see `openTracing`. */
  readonly tracing: Tracing;
  readonly clock: Clock;
  readonly uid: number;
  readonly noSelectors: SelectorSet;
  /** Each part says here how it is. */
  readonly readiness: Readiness;
  /** Each part says here what it can take up of a changed configuration. */
  readonly reloader: Reloader;
  /** What parts have to show beside metrics and health: JSON, by path. */
  readonly pages: Map<string, () => string>;
  /** What parts that are opened early have for administrators. */
  readonly adminServices: ServedService[];
  /** What serves; all are drained together before anything is closed. */
  readonly listeners: Set<Listener>;
  /** What is opened goes in; disposing closes it, last opened first. */
  readonly closing: AsyncDisposableStack;
  /** Resolves when something failed for good and the process must end. */
  readonly failed: Promise<Error>;
  readonly fail: (error: Error) => void;
}

/** A service and the file that defines it, relative to `proto/`. */
export interface ServedService {
  readonly service: GrpcService;
  readonly file: string;
}

interface Listener {
  /** Accepts no more, ends streams, and waits as long for calls. */
  close(graceMs: number): Promise<void>;
}

const DRAIN_MS = 5_000;

/** Until `process` ends, or does not even come to serve. */
export function keepListening({ listeners, closing }: Process, listener: Listener): void {
  listeners.add(listener);
  closing.defer(() => listener.close(DRAIN_MS));
}

/** Everything that serves at once. */
export async function drain({ listeners }: Process): Promise<void> {
  await Promise.all([...listeners].map(async (listener) => await listener.close(DRAIN_MS)));
}

export function createProcess(logLevel: LogLevel): Process {
  keepYoungGenerationSmall();
  const { promise, resolve } = Promise.withResolvers<Error>();
  const log = createLog({ level: logLevel });
  return {
    log,
    logLevel: log,
    metrics: createMetrics(),
    tracing: new Tracing(systemClock),
    clock: systemClock,
    uid: process.getuid?.() ?? -1,
    noSelectors: SelectorSet.of([]),
    readiness: new Readiness(systemClock),
    reloader: new Reloader(log),
    pages: new Map(),
    adminServices: [],
    listeners: new Set(),
    closing: new AsyncDisposableStack(),
    failed: promise,
    fail: resolve,
  };
}
