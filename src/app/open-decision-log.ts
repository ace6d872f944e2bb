import type { MessagePort } from 'node:worker_threads';
import {
  createDecisionLog,
  type DecisionLog,
  LineFile,
  type LineWriter,
  PortWriter,
  QueuedSink,
  StandardOutput,
} from '../check/index.ts';
import { type Log, limitLog, type Metrics } from '../ops/index.ts';
import { type Clock, messageOf } from '../spiffe/index.ts';
import type { DecisionLogConfig } from './decision-log-config.ts';

export interface OpenDecisionLogOptions {
  readonly config: DecisionLogConfig;
  /** Whose other end publishes to NATS; undefined where nothing is. */
  readonly port?: MessagePort | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Lines that wait for a slow disk or reader; those beyond are lost. */
const MAX_QUEUE_BYTES = 8_388_608;

/** Opens the log of decisions in the thread that makes them. A file that cannot be written is complained of, and tried again. */
export function openDecisionLog(options: OpenDecisionLogOptions): DecisionLog {
  const { config, port, clock, metrics } = options;
  const log = limitLog(options.log, clock);
  const lines = metrics.counter(
    'trustplane_authz_log_lines_total',
    'Lines of the decision log, by sink and result (written, dropped).',
    ['sink', 'result'],
  );
  const queued = (sink: string, writer: LineWriter): QueuedSink =>
    new QueuedSink(writer, {
      maxBytes: MAX_QUEUE_BYTES,
      onWritten: (count) => lines.inc({ sink, result: 'written' }, count),
      onDropped: (count, cause) => {
        lines.inc({ sink, result: 'dropped' }, count);
        const error = cause === undefined ? 'too many lines wait' : messageOf(cause);
        log.warn({ sink, lines: count, error }, 'lines of the decision log are lost');
      },
    });
  const { file, stdout, sample, headers } = config;
  const sinks = [
    ...(file === undefined ? [] : [queued('file', new LineFile(file))]),
    ...(stdout ? [queued('stdout', new StandardOutput(clock))] : []),
    ...(port === undefined ? [] : [queued('nats', new PortWriter(port))]),
  ];
  return createDecisionLog({ sinks, sample, headers, clock });
}
