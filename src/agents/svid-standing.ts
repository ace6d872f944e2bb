import { type SpiffeId, TrustplaneError } from '../spiffe/index.ts';
import type { AgentAttestation, AgentSvid, AttestedAgent, RecordedSvid } from './agent.ts';

/** Whether an agent may attest, as it stands. @throws TrustplaneError ERR_AGENT_BANNED, ERR_AGENT_ATTESTED_BEFORE */
export function refuseAttestation(
  agent: AttestedAgent | undefined,
  { isFirstUseOnly }: Pick<AgentAttestation, 'isFirstUseOnly'>,
): void {
  refuseBanned(agent);
  if (agent === undefined || isFirstUseOnly !== true) return;
  const message = `agent ${agent.id.toString()} is attested already, and may be once until it is evicted`;
  throw new TrustplaneError('ERR_AGENT_ATTESTED_BEFORE', message);
}

/** A ban of one form of a certificate is a ban of both. @throws TrustplaneError ERR_AGENT_BANNED, ERR_AGENT_ATTESTED_BEFORE */
export function refuseTwin(twin: AttestedAgent | undefined, isNew: boolean): void {
  refuseBanned(twin);
  if (twin === undefined || !isNew) return;
  const message = `this node is the agent ${twin.id.toString()} already, by another form of its certificate; until that is evicted it joins in that form`;
  throw new TrustplaneError('ERR_AGENT_ATTESTED_BEFORE', message);
}

/** @throws TrustplaneError ERR_AGENT_BANNED */
function refuseBanned(agent: AttestedAgent | undefined): void {
  if (agent?.banned !== true) return;
  throw new TrustplaneError('ERR_AGENT_BANNED', `agent ${agent.id.toString()} is banned`);
}

/** @throws TrustplaneError ERR_AGENT_NOT_ATTESTED, ERR_AGENT_BANNED */
export function requireAttested(agent: AttestedAgent | undefined, id: SpiffeId): AttestedAgent {
  refuseBanned(agent);
  if (agent !== undefined) return agent;
  throw new TrustplaneError('ERR_AGENT_NOT_ATTESTED', `agent ${id.toString()} is not attested`);
}

/**
 * Whether an agent may act with an SVID: the one it was last seen with, or the renewed one, which then
 * takes its place (as in SPIRE: until then both are good, afterwards the older one is not). A ban
 * comes before expiry, as it does not pass.
 * @throws TrustplaneError ERR_AGENT_BANNED, ERR_AGENT_EXPIRED, ERR_AGENT_NOT_ACTIVE
 */
export function judgeSvid(
  agent: AttestedAgent,
  presented: AgentSvid,
  now: number,
): 'current' | 'renewed' {
  refuseBanned(agent);
  const id = agent.id.toString();
  if (now > presented.expiresAt) {
    const at = new Date(presented.expiresAt).toISOString();
    throw new TrustplaneError('ERR_AGENT_EXPIRED', `the SVID of agent ${id} expired at ${at}`);
  }
  if (presented.serialNumber === agent.svid.serialNumber) return 'current';
  if (presented.serialNumber === agent.renewedSvid?.serialNumber) return 'renewed';
  throw new TrustplaneError(
    'ERR_AGENT_NOT_ACTIVE',
    `agent ${id} has the SVID with serial ${agent.svid.serialNumber}; got ${presented.serialNumber}`,
  );
}

/**
 * Whether an agent that cannot attest again may come back with its last SVID: it is the one on record,
 * with its key, and has not been over for longer than `graceMs`.
 * @throws TrustplaneError ERR_AGENT_NOT_ATTESTED, ERR_AGENT_BANNED, ERR_AGENT_MUST_REATTEST,
 * ERR_AGENT_NOT_ACTIVE, ERR_AGENT_EXPIRED
 */
export function requireReturning(
  agent: AttestedAgent | undefined,
  id: SpiffeId,
  last: Omit<RecordedSvid, 'expiresAt'>,
  oldest: number,
): AttestedAgent {
  const attested = requireAttested(agent, id);
  if (attested.canReattest) {
    const message = `agent ${id.toString()} comes back by attesting again`;
    throw new TrustplaneError('ERR_AGENT_MUST_REATTEST', message);
  }
  const known = [attested.svid, attested.renewedSvid].find(
    (svid) => svid?.serialNumber === last.serialNumber && svid.keyDigest === last.keyDigest,
  );
  if (known === undefined) {
    const message = `agent ${id.toString()} has another SVID or key than the one it proves`;
    throw new TrustplaneError('ERR_AGENT_NOT_ACTIVE', message);
  }
  if (known.expiresAt >= oldest) return attested;
  const at = new Date(known.expiresAt).toISOString();
  throw new TrustplaneError(
    'ERR_AGENT_EXPIRED',
    `the SVID of agent ${id.toString()} expired at ${at}, too long ago; it needs another way to attest`,
  );
}

/**
 * A renewal that was overtaken by another, which the agent may use already, is not recorded over it.
 * @param known the agent before the SVID was issued
 * @throws TrustplaneError ERR_AGENT_CONFLICT
 */
export function refuseOvertaken(agent: AttestedAgent, known: AttestedAgent): AttestedAgent {
  const { serialNumber } = agent.renewedSvid ?? agent.svid;
  const serials = [known.svid.serialNumber, known.renewedSvid?.serialNumber];
  if (serials.includes(serialNumber)) return agent;
  const message = `agent ${agent.id.toString()} got another SVID meanwhile; try again`;
  throw new TrustplaneError('ERR_AGENT_CONFLICT', message);
}
