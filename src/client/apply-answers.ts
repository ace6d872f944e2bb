import { type ErrorCode, errorCodes, TrustplaneError } from '../spiffe/index.ts';
import type { ChangeView, ImpactView, OutcomeView, PlanView } from './apply-view.ts';

interface WireTouched {
  readonly losing_workloads?: number;
  readonly losing_agents?: number;
  readonly gaining_workloads?: number;
  readonly gaining_agents?: number;
}

export interface WirePlan {
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
    readonly other_servers?: number;
  };
}

export interface WireOutcome {
  readonly added?: number;
  readonly changed?: number;
  readonly removed?: number;
  readonly left?: readonly number[];
  readonly error_code?: string;
  readonly error?: string;
}

export interface WireChange {
  readonly kind?: string;
  readonly subject?: string;
  readonly name?: string;
  readonly id?: string;
  readonly parent_id?: string;
  readonly selectors?: readonly string[];
  readonly fields?: readonly { name?: string; before?: string; after?: string }[];
  readonly source?: string;
}

/** trustplane.admin.v1.ApplyResponse */
export interface WireAnswer {
  readonly plan?: WirePlan | null;
  readonly changes?: { readonly changes?: readonly WireChange[] } | null;
  readonly outcome?: WireOutcome | null;
}

export function buildPlan(plan: WirePlan): Omit<PlanView, 'changes'> {
  const { added = 0, changed = 0, removed = 0, unchanged = 0, kept = 0, complaints = [] } = plan;
  const { impact = {}, digest = new Uint8Array() } = plan;
  const { identities = [], unknown_agents = 0, partial_agents = 0, other_servers = 0 } = impact;
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
      otherServers: other_servers,
    },
  };
}

function buildTouched(wire: WireTouched): Pick<ImpactView, 'losing' | 'gaining'> {
  return {
    losing: { workloads: wire.losing_workloads ?? 0, agents: wire.losing_agents ?? 0 },
    gaining: { workloads: wire.gaining_workloads ?? 0, agents: wire.gaining_agents ?? 0 },
  };
}

export function buildChange(wire: WireChange): ChangeView {
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

export function buildOutcome(wire: WireOutcome, changes: readonly ChangeView[]): OutcomeView {
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
