import type { RegistrationEntry, TrustplaneError } from '../spiffe/index.ts';
import type { RelationshipDraft } from './federation-client.ts';

/** An entry that is to be there. */
export interface EntryToApply {
  readonly entry: RegistrationEntry;
  /** Undefined: the server makes one. */
  readonly id: string | undefined;
  readonly source: string;
}

export interface RelationshipToApply {
  readonly relationship: RelationshipDraft;
  readonly source: string;
}

export interface DocumentsToApply {
  readonly set: string;
  readonly prune?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
  readonly allowRemovals?: boolean | undefined;
  readonly takeOver?: boolean | undefined;
  /** Hex. */
  readonly expectedPlan?: string | undefined;
  readonly idsAreHints?: boolean | undefined;
  readonly entries: readonly EntryToApply[];
  readonly relationships: readonly RelationshipToApply[];
}

export interface TouchedView {
  readonly workloads: number;
  readonly agents: number;
}

export interface ImpactView {
  readonly losing: TouchedView;
  readonly gaining: TouchedView;
  readonly identities: readonly {
    readonly spiffeId: string;
    readonly losing: TouchedView;
    readonly gaining: TouchedView;
  }[];
  readonly unknownAgents: number;
  readonly partialAgents: number;
  /** Servers beside the one that was asked: workloads of their agents are not counted. */
  readonly otherServers: number;
}

export interface ChangeView {
  readonly kind: 'add' | 'change' | 'remove';
  readonly subject: 'entry' | 'relationship';
  readonly name: string;
  readonly id: string;
  readonly parentId: string;
  readonly selectors: readonly string[];
  readonly fields: readonly {
    readonly name: string;
    readonly before: string;
    readonly after: string;
  }[];
  readonly source: string;
}

export interface PlanView {
  readonly added: number;
  readonly changed: number;
  readonly removed: number;
  readonly unchanged: number;
  readonly kept: number;
  /** Hex. */
  readonly digest: string;
  readonly complaints: readonly string[];
  readonly impact: ImpactView;
  readonly changes: readonly ChangeView[];
}

export interface OutcomeView {
  readonly added: number;
  readonly changed: number;
  readonly removed: number;
  /** The changes that were not made. */
  readonly left: readonly ChangeView[];
  readonly failure: TrustplaneError | undefined;
}

export interface AppliedView {
  readonly plan: PlanView;
  /** Undefined: nothing was to be changed, or might be. */
  readonly outcome: OutcomeView | undefined;
}

/** A relationship as it is exported; empty texts for what it has not. */
export interface ExportedRelationship {
  readonly trustDomain: string;
  readonly bundleEndpointUrl: string;
  readonly bundleEndpointProfile: 'https_web' | 'https_spiffe';
  readonly endpointSpiffeId: string;
  readonly accept: readonly string[];
  readonly publisherId: string;
  readonly awaitAck: boolean;
  readonly webCa: string;
}

export interface ExportedDocuments {
  readonly entries: readonly RegistrationEntry[];
  readonly relationships: readonly ExportedRelationship[];
}
