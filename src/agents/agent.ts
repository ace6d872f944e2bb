import {
  formatSelector,
  messageOf,
  parseSelector,
  quote,
  type Selector,
  SelectorSet,
  type SpiffeId,
  type TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';

/** An X509-SVID that was issued to an agent. */
export interface AgentSvid {
  /** Lower-case hex. */
  readonly serialNumber: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

/** What is remembered of it. */
export interface RecordedSvid extends AgentSvid {
  /** SHA-256 of the SubjectPublicKeyInfo, base64url. */
  readonly keyDigest: string;
}

/** A node that has proved who it is. */
export interface AttestedAgent {
  readonly id: SpiffeId;
  /** The name of the attestor, such as `x509pop`. */
  readonly attestationType: string;
  /** Sorted, without duplicates. */
  readonly selectors: readonly Selector[];
  /** The one it was last seen with. */
  readonly svid: RecordedSvid;
  /** Issued by a renewal and not seen in use yet; the agent may have either. */
  readonly renewedSvid: RecordedSvid | undefined;
  /** For good: neither time nor another attestation ends it, only `delete`. */
  readonly banned: boolean;
  /** It renews by attesting again, and only so. */
  readonly canReattest: boolean;
  /** What it says of itself; empty until it does. */
  readonly agentVersion: string;
  /** Milliseconds since the epoch, of the first attestation. */
  readonly attestedAt: number;
}

/** The outcome of a node attestation that is to be recorded. */
export interface AgentAttestation
  extends Pick<AttestedAgent, 'id' | 'attestationType' | 'selectors' | 'canReattest'> {
  /** Of the agent's SVID; SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  /** The same node by another form of its evidence: refused while there is an agent of that ID. */
  readonly twin?: SpiffeId | undefined;
  /** Refused where the agent is attested already, until it is evicted. */
  readonly isFirstUseOnly?: true | undefined;
}

const PREFIX = '/spire/agent/';
const ATTESTATION_TYPE = /^[A-Za-z0-9._-]{1,64}$/u;
const MAX_VERSION_BYTES = 255;
const CONTROL = /[\p{Cc}\p{Cs}]/u;

/** @throws TrustplaneError ERR_AGENT_ID when the ID is not below `/spire/agent/` of the trust domain */
export function checkAgentId(id: SpiffeId, trustDomain: TrustDomain): void {
  if (id.trustDomain.equals(trustDomain) && id.path.startsWith(PREFIX)) return;
  const message = `the ID of an agent is below ${trustDomain.id}${PREFIX}; got ${id.toString()}`;
  throw new TrustplaneError('ERR_AGENT_ID', message);
}

/** @throws TrustplaneError ERR_AGENT_ID, ERR_AGENT_ATTESTATION */
export function checkAttestation(attestation: AgentAttestation, trustDomain: TrustDomain): void {
  checkAgentId(attestation.id, trustDomain);
  if (attestation.twin !== undefined) checkAgentId(attestation.twin, trustDomain);
  if (ATTESTATION_TYPE.test(attestation.attestationType)) return;
  throw new TrustplaneError(
    'ERR_AGENT_ATTESTATION',
    `an attestation type has 1 to 64 of A-Z, a-z, 0-9, ".", "_", "-"; got ${quote(attestation.attestationType)}`,
  );
}

/** @throws TrustplaneError ERR_AGENT_VERSION */
export function checkAgentVersion(version: string): void {
  if (Buffer.byteLength(version) <= MAX_VERSION_BYTES && !CONTROL.test(version)) return;
  throw new TrustplaneError(
    'ERR_AGENT_VERSION',
    `an agent's version has at most ${MAX_VERSION_BYTES} bytes without control characters; got ${quote(version)}`,
  );
}

/** @throws TrustplaneError ERR_AGENT_ATTESTATION when one is malformed */
export function canonicalSelectors(selectors: readonly Selector[]): readonly Selector[] {
  try {
    return SelectorSet.of(selectors).texts.map(parseSelector);
  } catch (error) {
    const message = `an agent's selectors: ${messageOf(error)}`;
    throw new TrustplaneError('ERR_AGENT_ATTESTATION', message, { cause: error });
  }
}

/** The instant after which it has no valid SVID; milliseconds since the epoch. */
export function agentExpiresAt({ svid, renewedSvid }: AttestedAgent): number {
  return Math.max(svid.expiresAt, renewedSvid?.expiresAt ?? 0);
}

export function selectorTexts(agent: AttestedAgent): readonly string[] {
  return agent.selectors.map(formatSelector);
}
