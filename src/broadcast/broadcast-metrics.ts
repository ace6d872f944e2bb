import type { Metrics } from '../ops/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';

/** own: of the own trust domain. */
export type MessageKind = 'own' | 'bundle' | 'relay' | 'ack';

export interface BroadcastMetrics {
  published(kind: MessageKind): void;
  /** known: it says what was known. */
  received(kind: MessageKind, outcome: 'accepted' | 'known'): void;
  refused(kind: MessageKind, error: unknown): void;
}

const PREFIX = 'ERR_BUNDLE_MESSAGE_';

const made = new WeakMap<Metrics, BroadcastMetrics>();

/** The metrics of all broadcast of one process, made once. */
export function broadcastMetricsOf(metrics: Metrics): BroadcastMetrics {
  const known = made.get(metrics) ?? register(metrics);
  made.set(metrics, known);
  return known;
}

function register(metrics: Metrics): BroadcastMetrics {
  const published = metrics.counter(
    'trustplane_broadcast_published_total',
    'Messages about bundles published over NATS, by kind: own, relay, ack.',
    ['kind'],
  );
  const received = metrics.counter(
    'trustplane_broadcast_received_total',
    'Messages about bundles received over NATS and verified, by kind and outcome.',
    ['kind', 'outcome'],
  );
  const refused = metrics.counter(
    'trustplane_broadcast_refused_total',
    'Messages about bundles received over NATS and not believed, by kind and reason.',
    ['kind', 'reason'],
  );
  return {
    published: (kind) => published.inc({ kind }),
    received: (kind, outcome) => received.inc({ kind, outcome }),
    refused: (kind, error) => refused.inc({ kind, reason: reasonOf(error) }),
  };
}

/** One for each ERR_BUNDLE_MESSAGE_*, such as replay; other: it could not be taken in. */
function reasonOf(error: unknown): string {
  if (!(error instanceof TrustplaneError)) return 'other';
  // Of a bundle that was there before the trusted one.
  if (error.code === 'ERR_BUNDLE_SEQUENCE') return 'replay';
  if (!error.code.startsWith(PREFIX)) return 'other';
  return error.code.slice(PREFIX.length).toLowerCase().replaceAll('_', '-');
}
