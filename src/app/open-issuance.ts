import type { AgentRegistry } from '../agents/index.ts';
import {
  type AgentEntitlements,
  createJwtIssuance,
  createSvidIssuance,
  guardIssuance,
  type JwtIssuance,
  type SvidIssuance,
} from '../api/index.ts';
import type { AgentEntries } from '../entries/index.ts';
import { limitLog } from '../ops/index.ts';
import { attestationDigest, type Clock, type SpiffeId } from '../spiffe/index.ts';
import type { Store } from '../store/index.ts';
import { createFreshFacts, issuingFresh } from './fresh-facts.ts';
import type { ServerRole } from './server-role.ts';

/** The agent of the same process, which needs no attestation. */
export interface LocalAgent {
  readonly id: SpiffeId;
  readonly entries: AgentEntries;
}

/** What signs for the workloads of agents. */
export interface Issuances {
  readonly issuance: SvidIssuance;
  readonly jwtIssuance: JwtIssuance;
}

/** With what they sign, and where they say so. */
export type Signers = Omit<
  Parameters<typeof createSvidIssuance>[0] & Parameters<typeof createJwtIssuance>[0],
  'authorizedEntriesOf' | 'attestationDigestOf'
> & { readonly clock: Clock };

/** By what agents are entitled to and nobody has revoked or suspended; of a shared store, as it is when they ask. */
export function openIssuance(
  store: Store,
  server: ServerRole,
  signers: Signers,
  fleet: {
    readonly agents: AgentRegistry;
    readonly entitlements: AgentEntitlements;
    readonly local: LocalAgent | undefined;
  },
): Issuances {
  const { agents, entitlements, local } = fleet;
  const { clock } = signers;
  const issuableAt = (instant: () => number) =>
    guardIssuance({
      entriesOf: (id) => (local?.id.equals(id) === true ? local.entries : entitlements.of(id)),
      entryOf: (id) => server.entries.get(id),
      revocations: server.revocations,
      instant,
    });
  const common = {
    ...signers,
    attestationDigestOf: (id: SpiffeId) => {
      const agent = agents.get(id);
      return agent && attestationDigest(agent.selectors);
    },
    // Agents may ask, and be refused, as often as they like.
    log: limitLog(signers.log, clock),
  };
  const isShared = server.controlPlane.directory !== undefined;
  const facts = isShared ? createFreshFacts(store, server) : undefined;
  const svids = createSvidIssuance({
    ...common,
    authorizedEntriesOf: issuableAt(() => clock.now()),
  });
  const jwtSvids = createJwtIssuance({
    ...common,
    // Tokens tell time in seconds.
    authorizedEntriesOf: issuableAt(() => Math.floor(clock.now() / 1_000) * 1_000),
  });
  return { issuance: issuingFresh(svids, facts), jwtIssuance: issuingFresh(jwtSvids, facts) };
}
