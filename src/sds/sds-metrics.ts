import type { Metrics } from '../ops/index.ts';
import type { SecretKind, SecretRef } from './secret.ts';
import type { Verdict } from './stream-state.ts';

export type StreamKind = 'sotw' | 'delta';

/** What is counted of SDS. */
export interface SdsMetrics {
  opened(kind: StreamKind): void;
  closed(kind: StreamKind): void;
  /** A stream waits for more or fewer names than before. */
  waiting(change: number): void;
  /** Of more or fewer names of a stream than before trust domains are withheld. */
  declined(change: number): void;
  sent(refs: readonly SecretRef[]): void;
  settled(verdict: Verdict, now: number): void;
}

const ACK_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];

export function createSdsMetrics(metrics: Metrics): SdsMetrics {
  const streams = metrics.gauge<'kind'>('trustplane_sds_streams', 'Open SDS streams.', ['kind']);
  const waiting = metrics.gauge(
    'trustplane_sds_waiting_names',
    'Resource names that SDS streams wait for, because they do not exist or the caller may not have them.',
  );
  const declined = metrics.gauge(
    'trustplane_sds_withheld_contexts',
    'Validation contexts made without the trust domains of which some SPIFFE IDs alone are accepted, for clients that take no list of those.',
  );
  const countBy = (name: string, help: string): ((kind: SecretKind) => void) => {
    const counter = metrics.counter<'resource'>(name, help, ['resource']);
    const byKind = {
      tls_certificate: counter.labels('tls_certificate'),
      validation_context: counter.labels('validation_context'),
    };
    return (kind) => byKind[kind].inc();
  };
  const sent = countBy('trustplane_sds_resources_total', 'Secrets sent.');
  const acked = countBy('trustplane_sds_acks_total', 'Secrets that clients acknowledged.');
  const nacked = countBy('trustplane_sds_nacks_total', 'Secrets that clients refused.');
  const ackSeconds = metrics.histogram(
    'trustplane_sds_ack_seconds',
    'Time from sending a secret to its acknowledgement.',
    ACK_SECONDS,
  );
  return {
    opened: (kind) => streams.inc({ kind }),
    closed: (kind) => streams.dec({ kind }),
    waiting: (change) => waiting.inc(change),
    declined: (change) => declined.inc(change),
    sent(refs) {
      for (const { kind } of refs) sent(kind);
    },
    settled({ accepted, refs, sentAt }, now) {
      for (const { kind } of refs) (accepted ? acked : nacked)(kind);
      if (accepted) ackSeconds.observe((now - sentAt) / 1000);
    },
  };
}
