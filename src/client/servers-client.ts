import { dialAdmin, instant } from './admin-call.ts';
import {
  type AuthorityMessage,
  type AuthorityView,
  buildAuthority,
  enumText,
} from './authority-message.ts';

/** A server of the control plane as another sees it. Instants in RFC 3339, null where they are not known. */
export interface ServerView {
  readonly id: string;
  /** live, gone or stopped. */
  readonly state: string;
  /** The one that answered. */
  readonly self: boolean;
  /** Null when it has not said. */
  readonly address: string | null;
  readonly version: string | null;
  readonly startedAt: string | null;
  readonly lastSeenAt: string | null;
  /** How far its clock is ahead, at least. */
  readonly clockAheadMs: number;
  readonly x509Authorities: readonly AuthorityView[];
  readonly jwtAuthorities: readonly AuthorityView[];
}

/** The control plane, over the admin socket of one of its servers. Every call fails with a TrustplaneError. */
export interface ServersClient {
  /** By ID. */
  list(): Promise<readonly ServerView[]>;
  close(): void;
}

interface ServerMessage {
  readonly id?: string;
  readonly state?: string;
  readonly self?: boolean;
  readonly address?: string;
  readonly version?: string;
  readonly started_at?: string;
  readonly renewed_at?: string;
  readonly clock_ahead_ms?: string;
  readonly x509_authorities?: readonly AuthorityMessage[];
  readonly jwt_authorities?: readonly AuthorityMessage[];
}

/** @throws TrustplaneError ERR_SOCKET_PATH, ERR_SOCKET_PATH_TOO_LONG */
export function createServersClient(socket: string): ServersClient {
  const { call, close } = dialAdmin(socket);
  return {
    async list() {
      const { servers = [] } = await call<{ servers?: readonly ServerMessage[] }>(
        'Servers',
        'ListServers',
        {},
      );
      return servers.map(buildServer);
    },
    close,
  };
}

function buildServer(message: ServerMessage): ServerView {
  return {
    id: message.id ?? '',
    state: enumText(message.state, 'STATE_'),
    self: message.self ?? false,
    address: message.address || null,
    version: message.version || null,
    startedAt: instantOrNull(message.started_at),
    lastSeenAt: instantOrNull(message.renewed_at),
    clockAheadMs: Number(message.clock_ahead_ms ?? 0),
    x509Authorities: (message.x509_authorities ?? []).map(buildAuthority),
    jwtAuthorities: (message.jwt_authorities ?? []).map(buildAuthority),
  };
}

function instantOrNull(seconds: string = '0'): string | null {
  return seconds === '0' ? null : instant(seconds);
}
