import type { Metrics } from '../ops/index.ts';
import type { ResourceRef } from './resource.ts';
import type { Verdict } from './stream-state.ts';

/** What is counted of one type of resources. */
export interface TypeMetrics {
  /** A stream waits for more or fewer names than before. */
  waiting(change: number): void;
  sent(refs: readonly ResourceRef[]): void;
  settled(verdict: Verdict, now: number): void;
}

/** What the metrics of a type are called, and what they are about. */
export interface TypeTerms {
  /** `sds` in `trustplane_sds_resources_total`. */
  readonly prefix: string;
  /** `SDS`. */
  readonly label: string;
  /** As in `a secret`, `secrets`. */
  readonly one: string;
  readonly many: string;
  /** All kinds that a resource may be of. */
  readonly kinds: readonly string[];
}

const ACK_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];

export function createTypeMetrics(metrics: Metrics, terms: TypeTerms): TypeMetrics {
  const { prefix, label, one, many } = terms;
  const Many = many.charAt(0).toUpperCase() + many.slice(1);
  const waiting = metrics.gauge(
    `trustplane_${prefix}_waiting_names`,
    `Resource names that ${label} streams wait for, because they do not exist or the caller may not have them.`,
  );
  const countBy = (what: string, help: string): ((kind: string) => void) => {
    const name = `trustplane_${prefix}_${what}_total`;
    const counter = metrics.counter<'resource'>(name, help, ['resource']);
    const byKind = new Map(terms.kinds.map((kind) => [kind, counter.labels(kind)]));
    return (kind) => byKind.get(kind)?.inc();
  };
  const sent = countBy('resources', `${Many} sent.`);
  const acked = countBy('acks', `${Many} that clients acknowledged.`);
  const nacked = countBy('nacks', `${Many} that clients refused.`);
  const ackSeconds = metrics.histogram(
    `trustplane_${prefix}_ack_seconds`,
    `Time from sending ${one} to its acknowledgement.`,
    ACK_SECONDS,
  );
  return {
    waiting: (change) => waiting.inc(change),
    sent(refs) {
      for (const { kind } of refs) sent(kind);
    },
    settled({ accepted, refs, sentAt }, now) {
      for (const { kind } of refs) (accepted ? acked : nacked)(kind);
      if (accepted) ackSeconds.observe((now - sentAt) / 1000);
    },
  };
}
