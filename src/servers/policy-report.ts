import { z } from 'zod';
import type { PolicyTaker } from '../spiffe/index.ts';

/** An agent that takes policies, as its server names it to the others. */
export interface ReportedAgent {
  readonly agentId: string;
  readonly isConnected: boolean;
  /** Milliseconds since the epoch. */
  readonly since: number;
  readonly takers: readonly PolicyTaker[];
}

/** What a server says of the agents that take policies from it. */
export interface PolicyReport {
  /** The version that it has, by its hash; undefined: none. */
  readonly version: string | undefined;
  /** Agents that are connected, and those of them that do not have the version in force. */
  readonly connected: number;
  readonly behind: number;
  readonly away: number;
  /** Who decides by the version on the hosts of those that are connected. */
  readonly inForce: number;
  /** Some of the agents; those that matter most first. */
  readonly agents: readonly ReportedAgent[];
}

/** What of it is written. */
const reportLimits = { agents: 24, takers: 4, textChars: 256 } as const;

const count = z.int().nonnegative();
const text = z.string().max(reportLimits.textChars);
const absent = text.optional().transform((value) => value);

export const policyReportSchema: z.ZodType<PolicyReport> = z.object({
  version: absent,
  connected: count,
  behind: count,
  away: count,
  inForce: count,
  agents: z
    .array(
      z.object({
        agentId: text,
        isConnected: z.boolean(),
        since: count,
        takers: z
          .array(
            z.object({
              name: text,
              hash: absent,
              digest: absent,
              since: count.optional().transform((value) => value),
              fault: absent,
              refused: absent,
            }),
          )
          .max(reportLimits.takers),
      }),
    )
    .max(reportLimits.agents),
});

/** As much of it as is written. */
export function boundPolicyReport(report: PolicyReport): PolicyReport {
  return {
    ...report,
    agents: report.agents.slice(0, reportLimits.agents).map((agent) => ({
      ...agent,
      agentId: cut(agent.agentId),
      takers: agent.takers.slice(0, reportLimits.takers).map((taker) => ({
        ...taker,
        name: cut(taker.name),
        fault: taker.fault === undefined ? undefined : cut(taker.fault),
      })),
    })),
  };
}

function cut(whole: string): string {
  return whole.slice(0, reportLimits.textChars);
}
