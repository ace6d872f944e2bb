import { status } from '@grpc/grpc-js';
import type { Metrics } from '../ops/index.ts';

type SocketKind = 'unix' | 'tcp' | 'tls' | 'https';

/** Why a connection was not served. */
export type Refusal =
  | 'max_connections'
  | 'peer_gone'
  | 'handshake_timeout'
  | 'accept_error'
  | 'max_connections_per_user'
  | 'peer_unknown'
  | 'max_connections_per_network'
  | 'max_anonymous_connections'
  | 'shunned_network'
  | 'server_identity'
  | 'tls_error'
  | 'alpn'
  | 'client_certificate'
  | 'request_timeout'
  | 'answer_timeout';

const onEverySocket: readonly Refusal[] = [
  'max_connections',
  'peer_gone',
  'handshake_timeout',
  'accept_error',
];

/** Refusals by the kind of the socket. */
const refusals: Readonly<Record<SocketKind, readonly Refusal[]>> = {
  unix: [...onEverySocket, 'max_connections_per_user', 'peer_unknown'],
  tcp: [...onEverySocket, 'max_connections_per_network'],
  tls: [
    ...onEverySocket,
    'max_connections_per_network',
    'max_anonymous_connections',
    'shunned_network',
    'server_identity',
    'tls_error',
    'alpn',
    'client_certificate',
  ],
  https: [
    ...onEverySocket,
    'max_connections_per_network',
    'server_identity',
    'tls_error',
    'request_timeout',
    'answer_timeout',
  ],
};

const CALL_SECONDS = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10];

/** How long unary calls of one method take, by what came of them. */
export type CallTimer = (code: status, seconds: number) => void;

const timed = new WeakMap<Metrics, (path: string) => CallTimer>();

/** The timers of a process's methods, by path such as `/pkg.Service/Method`. */
export function callTimersOf(metrics: Metrics): (path: string) => CallTimer {
  const known = timed.get(metrics) ?? createCallTimers(metrics);
  timed.set(metrics, known);
  return known;
}

function createCallTimers(metrics: Metrics): (path: string) => CallTimer {
  const seconds = metrics.histogram(
    'trustplane_wire_call_seconds',
    'Time from a request to its answer, of calls that have one of each.',
    CALL_SECONDS,
    ['method', 'code'],
  );
  return (path) => {
    const method = path.split(/[./]/u).slice(-2).join('/');
    const ok = seconds.labels({ method, code: 'OK' });
    return (code, duration) => {
      if (code === status.OK) ok.observe(duration);
      else seconds.observe({ method, code: status[code] ?? 'UNKNOWN' }, duration);
    };
  };
}

/** The figures of one socket. */
export interface SocketMetrics {
  accepted(): void;
  closed(): void;
  refused(reason: Refusal): void;
}

type Counters = (socket: string, kind: SocketKind) => SocketMetrics;

/** A process has several sockets and one set of metrics. */
const made = new WeakMap<Metrics, Counters>();

export function createSocketMetrics(
  metrics: Metrics,
  socket: string,
  kind: SocketKind,
): SocketMetrics {
  const known = made.get(metrics) ?? createCounters(metrics);
  made.set(metrics, known);
  return known(socket, kind);
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
    'Connections closed without being served (answer_timeout: fully), by reason.',
    ['socket', 'reason'],
  );
  return (socket, kind) => {
    open.set({ socket }, 0);
    for (const reason of refusals[kind]) refused.inc({ socket, reason }, 0);
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
