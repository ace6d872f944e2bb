import type { ExplainKnowledge } from '../api/index.ts';
import type { AgentStanding, ServerWord } from '../explain/index.ts';
import type { Node, ServerAnswer } from '../node/index.ts';
import {
  type AgentFacts,
  type Clock,
  messageOf,
  type RegistrationEntry,
  type SpiffeId,
  TrustplaneError,
} from '../spiffe/index.ts';
import type { ExplainSources, ServerSide } from './agent-explain.ts';

/** A server that does not answer for so long is not waited for. */
const PATIENCE_MS = 3_000;

/** What of a node explains. */
export interface RemoteNode extends Pick<Node, 'status' | 'askWhy'> {
  readonly facts: {
    readonly facts: Pick<AgentFacts, 'entries'>;
    readonly isComplete: boolean;
  };
}

/** Of an agent whose servers are elsewhere. */
export function explainRemote(node: RemoteNode, clock: Clock): ExplainSources {
  return {
    standing: () => standingOf(node),
    entries: () => node.facts.facts.entries.values(),
    async ask(selectors = [], spiffeId) {
      const question = { selectors, spiffeId: spiffeId?.toString() };
      if (selectors.length === 0 && spiffeId === undefined) return nothingTold;
      try {
        return toldBy(await inTime(node.askWhy(question), clock), clock.now());
      } catch (error) {
        return { word: refusalOf(error), entries: [] };
      }
    },
  };
}

const nothingTold: ServerSide = { word: { kind: 'self' }, entries: [] };

/** Of an agent in the process of its server: whoever may ask here is that server's administrator too. */
export function explainLocal(
  knowledge: Pick<ExplainKnowledge, 'find' | 'standing'>,
  agentId: SpiffeId,
  entries: { held(): Iterable<RegistrationEntry> },
): ExplainSources {
  return {
    standing: () => ({ ...knowledge.standing(agentId), isLocal: true, entries: undefined }),
    entries: () => entries.held(),
    ask: async (selectors, spiffeId) => ({
      word: { kind: 'self' },
      entries: await knowledge.find({ selectors, spiffeId, agentId }),
    }),
  };
}

function standingOf(node: RemoteNode): AgentStanding {
  const { agentId, lapsed, expiresAt, faults, server, updatedAt, entries } = node.status();
  return {
    agentId: (agentId ?? lapsed?.agentId)?.toString(),
    isLocal: false,
    expiresAt: expiresAt ?? lapsed?.at,
    isBanned: faults.some(({ code }) => code === 'ERR_AGENT_BANNED'),
    suspension: undefined,
    faults: faults.map(({ code, message }) => ({ code, message })),
    server,
    isComplete: node.facts.isComplete,
    updatedAt,
    entries,
  };
}

function toldBy(answer: ServerAnswer, at: number): ServerSide {
  const { sentRevision, heldRevision, hasBacklog, agentSuspension } = answer;
  return {
    word: { kind: 'told', at, sentRevision, heldRevision, hasBacklog },
    entries: answer.entries.map((one) => ({ ...one, chain: undefined })),
    agent: { suspension: agentSuspension },
  };
}

function refusalOf(error: unknown): ServerWord {
  const code = error instanceof TrustplaneError ? error.code : 'ERR_INTERNAL';
  if (code === 'ERR_REMOTE_UNIMPLEMENTED') return { kind: 'unable' };
  return { kind: 'silent', code, message: messageOf(error) };
}

async function inTime<T>(work: Promise<T>, clock: Clock): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = clock.setTimer(PATIENCE_MS, () =>
    late.reject(
      new TrustplaneError('ERR_NODE_UNREACHABLE', `no answer within ${PATIENCE_MS / 1_000} s`),
    ),
  );
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    timer.cancel();
    work.catch(() => {});
  }
}
