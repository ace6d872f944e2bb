import type { AgentFilter, AttestedAgent } from '../agents/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import {
  buildSeconds,
  buildSpiffeId,
  type WireSelector,
  type WireSpiffeId,
} from '../sync/index.ts';
import { parseSelectorMatch, type WireSelectorMatch } from './entry-filter-message.ts';

/** spire.api.types.Agent; 64-bit integers are decimal text. */
export interface WireAgent {
  readonly id: WireSpiffeId;
  readonly attestation_type?: string;
  readonly x509svid_serial_number?: string;
  readonly x509svid_expires_at?: string;
  readonly selectors?: readonly WireSelector[];
  readonly banned?: boolean;
  readonly can_reattest?: boolean;
  readonly agent_version?: string;
}

/** spire.api.types.AgentMask; undefined for all fields. */
export type AgentMask =
  | { readonly [F in Exclude<keyof WireAgent, 'id'>]?: boolean }
  | null
  | undefined;

/** The Filter of ListAgentsRequest and CountAgentsRequest. */
export interface WireAgentFilter {
  readonly by_attestation_type?: string;
  readonly by_selector_match?: WireSelectorMatch | null;
  readonly by_banned?: { readonly value?: boolean } | null;
  readonly by_can_reattest?: { readonly value?: boolean } | null;
  readonly by_expires_before?: string;
}

/** Go's layout "2006-01-02 15:04:05 -0700 -07". */
const INSTANT = /^(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2}) ([+-]\d{2})(\d{2}) [+-]\d{2,4}$/u;

/** The masked fields of an agent as a message. */
export function buildAgent(agent: AttestedAgent, mask: AgentMask): WireAgent {
  const id = buildSpiffeId(agent.id);
  const fields: Required<Omit<WireAgent, 'id'>> = {
    attestation_type: agent.attestationType,
    x509svid_serial_number: BigInt(`0x${agent.svid.serialNumber}`).toString(),
    x509svid_expires_at: buildSeconds(agent.svid.expiresAt),
    selectors: agent.selectors,
    banned: agent.banned,
    can_reattest: agent.canReattest,
    agent_version: agent.agentVersion,
  };
  if (mask === undefined || mask === null) return { id, ...fields };
  const wanted = new Map<string, boolean | undefined>(Object.entries(mask));
  const kept = Object.entries(fields).filter(([field]) => wanted.get(field) === true);
  return { id, ...Object.fromEntries(kept) };
}

/** Empty texts filter nothing, as in SPIRE. @throws TrustplaneError ERR_API_REQUEST */
export function parseAgentFilter(filter: WireAgentFilter | null | undefined): AgentFilter {
  const { by_attestation_type, by_selector_match, by_banned, by_can_reattest, by_expires_before } =
    filter ?? {};
  return {
    ...(by_attestation_type && { attestationType: by_attestation_type }),
    ...(by_selector_match && {
      selectors: parseSelectorMatch('filter.by_selector_match', by_selector_match),
    }),
    ...(by_banned && { banned: by_banned.value === true }),
    ...(by_can_reattest && { canReattest: by_can_reattest.value === true }),
    ...(by_expires_before && { expiresBefore: parseInstant(by_expires_before) }),
  };
}

function parseInstant(text: string): number {
  const [, day, time, hours, minutes] = INSTANT.exec(text) ?? [];
  const instant = Date.parse(`${day}T${time}${hours}:${minutes}`);
  if (!Number.isNaN(instant)) return instant;
  throw new TrustplaneError(
    'ERR_API_REQUEST',
    `filter.by_expires_before: expected an instant such as "2027-01-31 12:00:00 +0000 +00"; got ${JSON.stringify(text.slice(0, 80))}`,
  );
}
