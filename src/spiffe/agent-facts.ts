import type { Crl } from './crl.ts';
import type { PolicyTexts } from './policy-texts.ts';
import type { RegistrationEntry } from './registration-entry.ts';
import type { Revocation } from './revocation.ts';
import type { TrustMap } from './trust-map.ts';

/** What a server tells one of its agents, whole, at one moment. Immutable. */
export interface AgentFacts {
  /** The entries the agent may serve, by their IDs. */
  readonly entries: ReadonlyMap<string, RegistrationEntry>;
  /** The own bundle and those its entries federate with. */
  readonly trust: TrustMap;
  readonly revocations: readonly Revocation[];
  /** CRLs of the own authorities; undefined where there is none, or the agent takes none. */
  readonly crls?: readonly Crl[] | undefined;
  /** The policies in their present version; undefined where there are none, or the agent takes none. */
  readonly policies?: PolicyTexts | undefined;
}
