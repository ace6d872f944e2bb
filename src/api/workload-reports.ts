import type { AgentRegistry } from '../agents/index.ts';
import type { ReportedAgent } from '../apply/index.ts';
import type { SpiffeId, WorkloadGroup } from '../spiffe/index.ts';
import { nodeSelectorsOf } from './agent-entitlements.ts';

interface Report {
  readonly id: SpiffeId;
  /** Undefined: it has not said. */
  groups: readonly WorkloadGroup[] | undefined;
  isPartial: boolean;
  streams: number;
}

/** Which workloads the agents that are connected here say they serve. */
export class WorkloadReports {
  readonly #agents: Pick<AgentRegistry, 'get'>;
  readonly #local: (() => ReportedAgent)[] = [];
  readonly #reports = new Map<string, Report>();

  constructor(agents: Pick<AgentRegistry, 'get'>) {
    this.#agents = agents;
  }

  /** An agent of the same process, which is asked. */
  addLocal(ask: () => ReportedAgent): void {
    this.#local.push(ask);
  }

  /** For each stream; `onDisconnected` follows for each. */
  onConnected(id: SpiffeId): void {
    const report = this.#reports.get(id.path);
    if (report !== undefined) report.streams++;
    else this.#reports.set(id.path, { id, groups: undefined, isPartial: false, streams: 1 });
  }

  onWorkloads(id: SpiffeId, groups: readonly WorkloadGroup[], isPartial: boolean): void {
    const report = this.#reports.get(id.path);
    if (report === undefined) return;
    report.groups = groups;
    report.isPartial = isPartial;
  }

  onDisconnected(id: SpiffeId): void {
    const report = this.#reports.get(id.path);
    if (report !== undefined && --report.streams === 0) this.#reports.delete(id.path);
  }

  /** Those with workloads. */
  list(): readonly ReportedAgent[] {
    const local = this.#local.map((ask) => ask()).filter(({ groups }) => groups.length > 0);
    const told = [...this.#reports.values()].flatMap(({ id, groups = [] }) => {
      const agent = groups.length === 0 ? undefined : this.#agents.get(id);
      if (agent === undefined || agent.banned) return [];
      return [{ agentId: id, nodeSelectors: nodeSelectorsOf(agent), groups }];
    });
    return [...local, ...told];
  }

  /** How many have not said, and how many only in part. */
  gaps(): { readonly unknown: number; readonly partial: number } {
    const reports = [...this.#reports.values()];
    return {
      unknown: reports.filter(({ groups }) => groups === undefined).length,
      partial: reports.filter(({ isPartial }) => isPartial).length,
    };
  }
}
