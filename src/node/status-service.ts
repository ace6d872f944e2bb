import type { sendUnaryData } from '@grpc/grpc-js';
import type { HealthCheck } from '../ops/index.ts';
import type { Clock, TrustDomain } from '../spiffe/index.ts';
import { type GrpcService, loadService } from '../wire/index.ts';
import type { Node } from './node.ts';

export interface NodeStatusServiceOptions {
  readonly version: string;
  readonly trustDomain: TrustDomain;
  readonly node: Pick<Node, 'status'>;
  readonly checks: () => readonly HealthCheck[];
  readonly clock: Clock;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
}

/** trustplane.agent.v1.Agent */
export function createNodeStatusService(options: NodeStatusServiceOptions): GrpcService {
  return {
    definition: loadService('trustplane/agent/v1/agent.proto', 'trustplane.agent.v1.Agent'),
    implementation: {
      GetStatus: (_call: unknown, respond: sendUnaryData<object>) =>
        respond(null, buildStatus(options)),
    },
  };
}

function buildStatus(options: NodeStatusServiceOptions): object {
  const { version, trustDomain, clock, startedAt } = options;
  const { agentId, expiresAt, server, isTold, updatedAt, entries } = options.node.status();
  const checks = options.checks();
  return {
    version,
    trust_domain: trustDomain.name,
    uptime_seconds: seconds(Math.max(0, clock.now() - startedAt)),
    agent_id: agentId?.toString() ?? '',
    expires_at: seconds(expiresAt),
    server: server ?? '',
    is_told: isTold,
    updated_at: seconds(updatedAt),
    entries_count: String(entries),
    healthy: checks.every(({ fault }) => fault === undefined),
    checks: checks.map(({ name, fault, detail = '' }) => ({
      name,
      healthy: fault === undefined,
      message: fault ?? '',
      detail,
    })),
  };
}

function seconds(ms = 0): string {
  return String(Math.floor(ms / 1_000));
}
