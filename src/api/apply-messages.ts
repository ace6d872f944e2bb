import type { DesiredEntry, DesiredRelationship, Impact, Step, Touched } from '../apply/index.ts';
import { entryOf } from '../apply/index.ts';
import type { FederationRelationship } from '../federation/index.ts';
import { formatSelector, type RegistrationEntry, type TrustDomain } from '../spiffe/index.ts';
import { buildEntryMessage, type WireEntry } from '../sync/index.ts';
import { parseEntryDraft } from './entry-messages.ts';
import {
  buildRelationship,
  parseRelationship,
  type WireRelationship,
} from './relationship-messages.ts';
import { buildTerms, checkWebCa, parseTerms, type WireTerms } from './terms-message.ts';

/** trustplane.admin.v1.EntryDocument */
export interface WireEntryDocument {
  readonly entry?: WireEntry | null;
  readonly source?: string;
  readonly managed_by?: string;
}

/** trustplane.admin.v1.RelationshipDocument */
export interface WireRelationshipDocument {
  readonly relationship?: WireRelationship | null;
  readonly terms?: WireTerms | null;
  readonly source?: string;
  readonly managed_by?: string;
}

interface Rules {
  readonly trustDomain: TrustDomain;
  readonly now: number;
}

const MAX_SOURCE = 1_024;
/** Identities that an impact names. */
const MAX_IDENTITIES = 1_000;

/** @throws TrustplaneError ERR_ENTRY_* */
export function parseEntryDocument(
  { entry, source }: WireEntryDocument,
  rules: Rules,
): DesiredEntry {
  const draft = parseEntryDraft(entry ?? {});
  return { draft, entry: entryOf(draft, rules), source: sourceOf(source) };
}

/** @throws TrustplaneError ERR_API_REQUEST, ERR_RELATIONSHIP */
export function parseRelationshipDocument(
  { relationship: wire, terms, source }: WireRelationshipDocument,
  { trustDomain: own }: Rules,
): DesiredRelationship {
  const { relationship: plain } = parseRelationship(wire ?? {}, own);
  const relationship = { ...plain, ...parseTerms(terms ?? {}, plain.trustDomain) };
  checkWebCa(relationship);
  return { relationship, source: sourceOf(source) };
}

/** trustplane.admin.v1.EntryDocument, as it is exported. */
export function buildEntryDocument(entry: RegistrationEntry): WireEntryDocument {
  return { entry: buildEntryMessage(entry), managed_by: entry.managedBy ?? '' };
}

/** trustplane.admin.v1.RelationshipDocument, as it is exported. */
export function buildRelationshipDocument(
  relationship: FederationRelationship,
): WireRelationshipDocument {
  return {
    relationship: buildRelationship(relationship, undefined, undefined),
    terms: buildTerms(relationship),
    managed_by: relationship.managedBy ?? '',
  };
}

/** trustplane.admin.v1.Change */
export function buildChange(step: Step): object {
  const { before, after, fields, source, subject } = step;
  const kind = before === undefined ? 'ADD' : after === undefined ? 'REMOVE' : 'CHANGE';
  const common = { kind: `KIND_${kind}`, subject, fields, source };
  if (step.subject === 'relationship') {
    const { trustDomain } = { ...step.before, ...step.after };
    return { ...common, name: trustDomain?.name ?? '' };
  }
  const entry = step.before?.entry ?? step.after?.entry;
  return {
    ...common,
    name: (step.after?.entry ?? entry)?.spiffeId.toString() ?? '',
    id: step.before?.entry.id ?? step.after?.draft.id ?? '',
    parent_id: entry?.parentId.toString() ?? '',
    selectors: entry?.selectors.map(formatSelector) ?? [],
  };
}

/** trustplane.admin.v1.Impact */
export function buildImpact(
  { losing, gaining, identities }: Impact,
  gaps: { readonly unknown: number; readonly partial: number; readonly servers: number },
): object {
  return {
    ...touched({ losing, gaining }),
    identities: identities.slice(0, MAX_IDENTITIES).map(({ spiffeId, ...one }) => ({
      spiffe_id: spiffeId,
      ...touched(one),
    })),
    unknown_agents: gaps.unknown,
    partial_agents: gaps.partial,
    other_servers: gaps.servers,
  };
}

function touched({ losing, gaining }: { readonly losing: Touched; readonly gaining: Touched }) {
  return {
    losing_workloads: losing.workloads,
    losing_agents: losing.agents,
    gaining_workloads: gaining.workloads,
    gaining_agents: gaining.agents,
  };
}

function sourceOf(text = ''): string {
  return text.slice(0, MAX_SOURCE);
}
