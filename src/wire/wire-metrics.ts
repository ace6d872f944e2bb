import type { Metrics } from '../ops/index.ts';

/** Why a connection was not served. */
const refusals = [
  'max_connections',
  'max_connections_per_user',
  'peer_unknown',
  'peer_gone',
  'handshake_timeout',
  'accept_error',
] as const;
export type Refusal = (typeof refusals)[number];

/** The figures of one socket. */
export interface SocketMetrics {
  accepted(): void;
  closed(): void;
  refused(reason: Refusal): void;
}

type Counters = (socket: string) => SocketMetrics;

/** A process has several sockets and one set of metrics. */
const made = new WeakMap<Metrics, Counters>();

export function createSocketMetrics(metrics: Metrics, socket: string): SocketMetrics {
  const known = made.get(metrics) ?? createCounters(metrics);
  made.set(metrics, known);
  return known(socket);
}

function createCounters(metrics: Metrics): Counters {
  const open = metrics.gauge('trustplane_wire_connections', 'Open connections.', ['socket']);
  const accepted = metrics.counter(
    'trustplane_wire_connections_accepted_total',
    'Connections accepted.',
    ['socket'],
  );
  const refused = metrics.counter(
    'trustplane_wire_connections_refused_total',
    'Connections closed without being served, by reason.',
    ['socket', 'reason'],
  );
  return (socket) => {
    open.set({ socket }, 0);
    for (const reason of refusals) refused.inc({ socket, reason }, 0);
    const openHere = open.labels({ socket });
    const acceptedHere = accepted.labels({ socket });
    return {
      accepted() {
        openHere.inc();
        acceptedHere.inc();
      },
      closed: () => openHere.dec(),
      refused: (reason) => refused.inc({ socket, reason }),
    };
  };
}
