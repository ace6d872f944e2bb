import type { ErrorCode } from '../spiffe/index.ts';
import { type Finding, finding, instantText } from './finding.ts';
import type { AgentStanding, RevocationFacts, Situation, SuspensionFacts } from './situation.ts';

const STRANGERS: ReadonlySet<ErrorCode> = new Set([
  'ERR_AGENT_NOT_ATTESTED',
  'ERR_AGENT_NOT_ACTIVE',
  'ERR_AGENT_MUST_REATTEST',
  'ERR_NODE_ATTESTATION',
  'ERR_NODE_BOOTSTRAP',
]);
const UNREACHABLE: ReadonlySet<ErrorCode> = new Set([
  'ERR_NODE_UNREACHABLE',
  'ERR_NODE_SERVER',
  'ERR_TLS_HANDSHAKE',
]);

/** How the agent stands with its servers, where that is in the way. */
export function explainAgent({ agent, now }: Situation): readonly Finding[] {
  if (agent === undefined || agent.isLocal) return [];
  const barred = explainBar(agent);
  if (barred !== undefined) return [barred];
  return [...explainMembership(agent, now), ...explainReach(agent), ...explainSync(agent)];
}

function explainBar(agent: AgentStanding): Finding | undefined {
  const id = agent.agentId ?? 'ID';
  const { isBanned, suspension } = agent;
  if (isBanned) {
    const message = `the agent ${id} is banned: it serves nobody`;
    return finding('agent-banned', message, `trustplane agent evict ${id}, on the server`);
  }
  if (suspension !== undefined) return explainSuspension(suspension, id);
  const told = agent.faults.find(({ code }) => code === 'ERR_AGENT_SUSPENDED');
  if (told === undefined) return undefined;
  const next = `trustplane unsuspend --agent ${id}, on the server`;
  return finding('agent-suspended', told.message, next);
}

function explainSuspension(suspension: SuspensionFacts, id: string): Finding {
  const message = `the agent ${id} is suspended: ${suspensionText(suspension)}`;
  return finding('agent-suspended', message, `trustplane unsuspend --agent ${id}, on the server`);
}

/** `since 2026-01-01T00:00:00Z by user root, until it is lifted: stolen` */
export function suspensionText({ since, by, reason }: SuspensionFacts): string {
  const who = by === '' ? '' : ` by ${by}`;
  return `since ${instantText(since)}${who}, until it is lifted${reason === '' ? '' : `: ${reason}`}`;
}

/** `what was issued before 2026-01-01T00:00:00Z (the spiffe-id …) is refused, by user root: stolen` */
export function revocationText({ kind, value, issuedBefore, by, reason }: RevocationFacts): string {
  const what = kind === undefined ? '' : ` (the ${kind} ${value})`;
  const who = by === undefined ? '' : `, by ${by}`;
  const why = reason === '' ? '' : `: ${reason}`;
  return `what was issued before ${instantText(issuedBefore)}${what} is refused${who}${why}`;
}

function explainMembership(agent: AgentStanding, now: number): readonly Finding[] {
  const { agentId, expiresAt, faults } = agent;
  const why = faults[0] === undefined ? '' : `: ${faults[0].message}`;
  const stranger = faults.find(({ code }) => STRANGERS.has(code));
  if (stranger !== undefined) {
    const next = 'trustplane token generate, on the server; then start the agent with the token';
    return [
      finding('agent-not-joined', `the servers do not know this agent: ${stranger.message}`, next),
    ];
  }
  const hasExpired =
    (expiresAt !== undefined && expiresAt <= now) ||
    faults.some(({ code }) => code === 'ERR_AGENT_EXPIRED');
  if (hasExpired) {
    const since = expiresAt === undefined ? '' : ` since ${instantText(expiresAt)}`;
    const message = `the SVID of the agent itself has expired${since}${why}`;
    return [
      finding(
        'agent-svid-expired',
        message,
        'trustplane status --agent; let the agent reach a server, or attest again',
      ),
    ];
  }
  if (agentId !== undefined || faults.some(({ code }) => UNREACHABLE.has(code))) return [];
  const next = 'trustplane status --agent; with a token: trustplane token generate, on the server';
  return [
    finding('agent-not-joined', `this agent has not joined the trust domain yet${why}`, next),
  ];
}

function explainReach({ faults, server, updatedAt }: AgentStanding): readonly Finding[] {
  const fault = faults.find(({ code }) => UNREACHABLE.has(code));
  if (fault === undefined) return [];
  const since = updatedAt === undefined ? 'never since the start' : instantText(updatedAt);
  const message = `no server answers this agent: ${fault.message}; last word: ${since}`;
  const where = server ?? fault.message.match(/^[^ ]+:\d+(?=: )/u)?.[0];
  const next = `trustplane status --agent${where === undefined ? '' : `; is ${where} up, and reachable from this host?`}`;
  return [finding('server-unreachable', message, next)];
}

function explainSync({ isComplete }: AgentStanding): readonly Finding[] {
  if (isComplete) return [];
  const message = 'no server has told this agent what it may serve since it was started';
  return [finding('not-synced', message, 'trustplane status --agent')];
}
