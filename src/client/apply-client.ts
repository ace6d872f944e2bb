import {
  type ErrorCode,
  errorCodes,
  type RegistrationEntry,
  TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import { buildEntryMessage, parseEntryMessage, type WireEntry } from '../sync/index.ts';
import { dialAdmin } from './admin-call.ts';
import { buildRequest, type RelationshipDraft } from './federation-client.ts';

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

/** Documents are applied and exported, over the admin socket. Every call fails with a TrustplaneError. */
export interface ApplyClient {
  trustDomain(): Promise<TrustDomain>;
  apply(documents: DocumentsToApply): Promise<AppliedView>;
  /** By parts. An empty set: all; no kinds: all. */
  export(set: string, kinds: readonly string[]): AsyncIterable<ExportedDocuments>;
  close(): void;
}

/** In one message. */
const CHUNK = 500;

/** @throws TrustplaneError ERR_SOCKET_PATH, ERR_SOCKET_PATH_TOO_LONG */
export function createApplyClient(socket: string): ApplyClient {
  const { call, stream, converse, close } = dialAdmin(socket);
  const trustDomain = async (): Promise<TrustDomain> => {
    const { trust_domain = '' } = await call<{ trust_domain?: string }>('Admin', 'GetStatus', {});
    return TrustDomain.parse(trust_domain);
  };
  return {
    trustDomain,
    async apply(documents) {
      const answers = converse<WireAnswer>('Apply', 'Apply', requestsOf(documents));
      let plan: WirePlan | undefined;
      let outcome: WireOutcome | undefined;
      const changes: ChangeView[] = [];
      for await (const answer of answers) {
        if (answer.plan) plan = answer.plan;
        for (const change of answer.changes?.changes ?? []) changes.push(buildChange(change));
        if (answer.outcome) outcome = answer.outcome;
      }
      if (plan === undefined) throw new TrustplaneError('ERR_REMOTE', 'the server sent no plan');
      return {
        plan: { ...buildPlan(plan), changes },
        outcome: outcome && buildOutcome(outcome, changes),
      };
    },
    async *export(set, kinds) {
      const own = await trustDomain();
      for await (const part of stream<WireDocuments>('Apply', 'Export', { set, kinds })) {
        const { entries = [], relationships = [] } = part;
        yield {
          entries: entries.map(({ entry }) => parseEntryMessage(entry ?? {}, own)),
          relationships: relationships.map(buildRelationship),
        };
      }
    },
    close,
  };
}

interface WireDocuments {
  readonly entries?: readonly { readonly entry?: WireEntry }[];
  readonly relationships?: readonly WireRelationship[];
}

interface WireRelationship {
  readonly relationship?: {
    readonly trust_domain?: string;
    readonly bundle_endpoint_url?: string;
    readonly https_spiffe?: { readonly endpoint_spiffe_id?: string } | null;
  };
  readonly terms?: {
    readonly accept?: readonly string[];
    readonly publisher_id?: string;
    readonly await_ack?: boolean;
    readonly web_ca?: string;
  };
}

interface WireTouched {
  readonly losing_workloads?: number;
  readonly losing_agents?: number;
  readonly gaining_workloads?: number;
  readonly gaining_agents?: number;
}

interface WirePlan {
  readonly added?: number;
  readonly changed?: number;
  readonly removed?: number;
  readonly unchanged?: number;
  readonly kept?: number;
  readonly digest?: Uint8Array;
  readonly complaints?: readonly string[];
  readonly impact?: WireTouched & {
    readonly identities?: readonly (WireTouched & { readonly spiffe_id?: string })[];
    readonly unknown_agents?: number;
    readonly partial_agents?: number;
  };
}

interface WireOutcome {
  readonly added?: number;
  readonly changed?: number;
  readonly removed?: number;
  readonly left?: readonly number[];
  readonly error_code?: string;
  readonly error?: string;
}

interface WireChange {
  readonly kind?: string;
  readonly subject?: string;
  readonly name?: string;
  readonly id?: string;
  readonly parent_id?: string;
  readonly selectors?: readonly string[];
  readonly fields?: readonly { name?: string; before?: string; after?: string }[];
  readonly source?: string;
}

interface WireAnswer {
  readonly plan?: WirePlan | null;
  readonly changes?: { readonly changes?: readonly WireChange[] } | null;
  readonly outcome?: WireOutcome | null;
}

function* requestsOf(documents: DocumentsToApply): Generator<object> {
  const { set, prune, dryRun, allowRemovals, takeOver, expectedPlan, idsAreHints } = documents;
  yield {
    begin: {
      set,
      prune,
      dry_run: dryRun,
      allow_removals: allowRemovals,
      take_over: takeOver,
      ids_are_hints: idsAreHints,
      ...(expectedPlan !== undefined && { expected_plan: Buffer.from(expectedPlan, 'hex') }),
    },
  };
  const { entries, relationships } = documents;
  for (let from = 0; from < entries.length; from += CHUNK) {
    const some = entries.slice(from, from + CHUNK).map(({ entry, id, source }) => ({
      entry: { ...buildEntryMessage(entry), id: id ?? '' },
      source,
    }));
    yield { documents: { entries: some } };
  }
  for (let from = 0; from < relationships.length; from += CHUNK) {
    const some = relationships
      .slice(from, from + CHUNK)
      .map(({ relationship, source }) => ({ ...buildRequest(relationship), source }));
    yield { documents: { relationships: some } };
  }
}

function buildPlan(plan: WirePlan): Omit<PlanView, 'changes'> {
  const { added = 0, changed = 0, removed = 0, unchanged = 0, kept = 0, complaints = [] } = plan;
  const { impact = {}, digest = new Uint8Array() } = plan;
  const { identities = [], unknown_agents = 0, partial_agents = 0 } = impact;
  return {
    added,
    changed,
    removed,
    unchanged,
    kept,
    digest: Buffer.from(digest).toString('hex'),
    complaints,
    impact: {
      ...buildTouched(impact),
      identities: identities.map((one) => ({
        spiffeId: one.spiffe_id ?? '',
        ...buildTouched(one),
      })),
      unknownAgents: unknown_agents,
      partialAgents: partial_agents,
    },
  };
}

function buildTouched(wire: WireTouched): Pick<ImpactView, 'losing' | 'gaining'> {
  return {
    losing: { workloads: wire.losing_workloads ?? 0, agents: wire.losing_agents ?? 0 },
    gaining: { workloads: wire.gaining_workloads ?? 0, agents: wire.gaining_agents ?? 0 },
  };
}

function buildChange(wire: WireChange): ChangeView {
  const kinds = { KIND_CHANGE: 'change', KIND_REMOVE: 'remove' } as const;
  const kind =
    wire.kind === 'KIND_CHANGE' || wire.kind === 'KIND_REMOVE' ? kinds[wire.kind] : 'add';
  return {
    kind,
    subject: wire.subject === 'relationship' ? 'relationship' : 'entry',
    name: wire.name ?? '',
    id: wire.id ?? '',
    parentId: wire.parent_id ?? '',
    selectors: wire.selectors ?? [],
    fields: (wire.fields ?? []).map(({ name = '', before = '', after = '' }) => ({
      name,
      before,
      after,
    })),
    source: wire.source ?? '',
  };
}

function buildOutcome(wire: WireOutcome, changes: readonly ChangeView[]): OutcomeView {
  const { added = 0, changed = 0, removed = 0, left = [], error_code = '', error = '' } = wire;
  return {
    added,
    changed,
    removed,
    left: left.flatMap((index) => changes[index] ?? []),
    failure:
      error_code === ''
        ? undefined
        : new TrustplaneError(isErrorCode(error_code) ? error_code : 'ERR_REMOTE', error),
  };
}

function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorCodes, text);
}

function buildRelationship({
  relationship = {},
  terms = {},
}: WireRelationship): ExportedRelationship {
  const { https_spiffe } = relationship;
  return {
    trustDomain: relationship.trust_domain ?? '',
    bundleEndpointUrl: relationship.bundle_endpoint_url ?? '',
    bundleEndpointProfile: https_spiffe ? 'https_spiffe' : 'https_web',
    endpointSpiffeId: https_spiffe?.endpoint_spiffe_id ?? '',
    accept: terms.accept ?? [],
    publisherId: terms.publisher_id ?? '',
    awaitAck: terms.await_ack ?? false,
    webCa: terms.web_ca ?? '',
  };
}
