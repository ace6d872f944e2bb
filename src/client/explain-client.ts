import { dialAdmin } from './admin-call.ts';

/** What an agent is asked about. */
export interface ExplainQuestion {
  readonly pids: readonly number[];
  readonly containerId: string;
  readonly envoyNodeId: string;
  readonly resourceName: string;
  readonly spiffeId: string;
}

/** What a server is asked about. */
export interface WhatIfQuestion {
  readonly spiffeId: string;
  readonly agentId: string;
  readonly selectors: readonly string[];
  /** Hex; empty: none. Alone. */
  readonly serialNumber: string;
}

export interface ExplanationView {
  readonly subject: string;
  /** served, waiting, refused, entitled or unknown. */
  readonly verdict: string;
  /** What explains most comes first. */
  readonly findings: readonly {
    readonly code: string;
    readonly message: string;
    readonly nextStep: string;
    readonly entryId: string;
    readonly spiffeId: string;
  }[];
  readonly facts: readonly {
    readonly source: string;
    readonly text: string;
    /** RFC 3339; null: not known. */
    readonly at: string | null;
  }[];
}

interface WireExplanations {
  readonly explanations?: readonly {
    readonly subject?: string;
    readonly verdict?: string;
    readonly findings?: readonly {
      readonly code?: string;
      readonly message?: string;
      readonly next_step?: string;
      readonly entry_id?: string;
      readonly spiffe_id?: string;
    }[];
    readonly facts?: readonly {
      readonly source?: string;
      readonly text?: string;
      readonly at?: string;
    }[];
  }[];
}

const TIMEOUT_MS = 30_000;

/** Asks the agent behind its socket. @throws TrustplaneError */
export async function explainAtAgent(
  socket: string,
  { pids, containerId, envoyNodeId, resourceName, spiffeId }: ExplainQuestion,
): Promise<readonly ExplanationView[]> {
  return await ask(socket, 'AgentExplain', 'Explain', {
    pids,
    container_id: containerId,
    envoy_node_id: envoyNodeId,
    resource_name: resourceName,
    spiffe_id: spiffeId,
  });
}

/** Asks the server behind its admin socket. @throws TrustplaneError */
export async function explainAtServer(
  socket: string,
  { spiffeId, agentId, selectors, serialNumber }: WhatIfQuestion,
): Promise<readonly ExplanationView[]> {
  const request = {
    spiffe_id: spiffeId,
    agent_id: agentId,
    selectors,
    serial_number: serialNumber,
  };
  return await ask(socket, 'Explain', 'WhatIf', request);
}

async function ask(
  socket: string,
  service: 'AgentExplain' | 'Explain',
  method: string,
  request: object,
): Promise<readonly ExplanationView[]> {
  const { call, close } = dialAdmin(socket);
  try {
    return buildViews(await call<WireExplanations>(service, method, request, TIMEOUT_MS));
  } finally {
    close();
  }
}

function buildViews({ explanations = [] }: WireExplanations): readonly ExplanationView[] {
  return explanations.map(({ subject = '', verdict = '', findings = [], facts = [] }) => ({
    subject,
    verdict,
    findings: findings.map((one) => ({
      code: one.code ?? '',
      message: one.message ?? '',
      nextStep: one.next_step ?? '',
      entryId: one.entry_id ?? '',
      spiffeId: one.spiffe_id ?? '',
    })),
    facts: facts.map(({ source = '', text = '', at = '0' }) => ({
      source,
      text,
      at: at === '0' ? null : new Date(Number(at)).toISOString(),
    })),
  }));
}
