import { TrustplaneError } from '../spiffe/index.ts';
import { dialAdmin, instant } from './admin-call.ts';
import { buildDetails, type CheckMessage } from './check-details.ts';

/** How an agent stands, as the command line prints it. */
export interface AgentStatus {
  readonly version: string;
  readonly trustDomain: string;
  readonly uptimeSeconds: number;
  /** Empty while it has no valid SVID of its own. */
  readonly agentId: string;
  /** RFC 3339; empty without an SVID. */
  readonly expiresAt: string;
  /** `host:port`; empty when none answers. */
  readonly server: string;
  /** The server tells what changes; else it is asked. */
  readonly isTold: boolean;
  /** RFC 3339; empty when no server has told anything since the start. */
  readonly updatedAt: string;
  readonly entries: number;
  readonly healthy: boolean;
  readonly problems: readonly string[];
  /** What parts serve, or go by, by their names. */
  readonly details: Readonly<Record<string, string>>;
}

interface StatusMessage {
  readonly version?: string;
  readonly trust_domain?: string;
  readonly uptime_seconds?: string;
  readonly agent_id?: string;
  readonly expires_at?: string;
  readonly server?: string;
  readonly is_told?: boolean;
  readonly updated_at?: string;
  readonly entries_count?: string;
  readonly healthy?: boolean;
  readonly checks?: readonly CheckMessage[];
}

/** Asks the agent behind its socket. @throws TrustplaneError */
export async function fetchAgentStatus(socket: string): Promise<AgentStatus> {
  const { call, close } = dialAdmin(socket);
  try {
    return buildStatus(await call<StatusMessage>('AgentStatus', 'GetStatus', {}));
  } catch (cause) {
    if (!(cause instanceof TrustplaneError) || cause.code !== 'ERR_REMOTE_UNIMPLEMENTED')
      throw cause;
    const message = `what answers at ${socket} is no agent by itself; of trustplane up, \`trustplane status\` tells all`;
    throw new TrustplaneError('ERR_REMOTE_UNIMPLEMENTED', message, { cause });
  } finally {
    close();
  }
}

function buildStatus(message: StatusMessage): AgentStatus {
  return {
    version: message.version ?? '',
    trustDomain: message.trust_domain ?? '',
    uptimeSeconds: Number(message.uptime_seconds ?? 0),
    agentId: message.agent_id ?? '',
    expiresAt: instantOrNone(message.expires_at),
    server: message.server ?? '',
    isTold: message.is_told ?? false,
    updatedAt: instantOrNone(message.updated_at),
    entries: Number(message.entries_count ?? 0),
    healthy: message.healthy ?? false,
    problems: (message.checks ?? [])
      .filter(({ healthy = false }) => !healthy)
      .map(({ name, message: why }) => `${name ?? ''}: ${why ?? ''}`),
    details: buildDetails(message.checks),
  };
}

function instantOrNone(seconds = '0'): string {
  return seconds === '0' ? '' : instant(seconds);
}
