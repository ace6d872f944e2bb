import { isCurrent } from '../spiffe/index.ts';
import type { DesiredEntry } from './desired.ts';
import { type EntryDocument, entrySchema } from './document-schema.ts';
import { readEntryDocument } from './entry-document.ts';
import { type DraftRules, findEntryFaults, tryEntry } from './entry-faults.ts';
import type { DocumentFault } from './expand-template.ts';

/** An entry as it stands in a plain document, or all that is wrong with it. */
export type JudgedEntry =
  | (Omit<DesiredEntry, 'source'> & {
      /** It has expired. */
      readonly isSpent: boolean;
    })
  | { readonly faults: readonly DocumentFault[] };

export function judgeEntry(document: EntryDocument, rules: DraftRules): JudgedEntry {
  const { draft, faults } = readEntryDocument(document);
  const expiresAt = (draft.expiresAtSeconds ?? 0) * 1_000 || undefined;
  const isSpent = !isCurrent({ expiresAt }, rules.now);
  const judged = isSpent ? { ...draft, expiresAtSeconds: 0 } : draft;
  const entry = faults.length === 0 ? tryEntry(judged, rules) : undefined;
  if (entry !== undefined) return { draft, entry, isSpent };
  return { faults: [...faults, ...findEntryFaults(judged, rules)] };
}

/** What else is wrong with a document whose shape is: what is there is judged beside what is harmless. */
export function judgeRest(value: object | undefined, rules: DraftRules): readonly DocumentFault[] {
  const { error } = entrySchema.safeParse(value);
  const failing = new Set(
    error?.issues.flatMap((issue) =>
      issue.code === 'unrecognized_keys' ? issue.keys : [String(issue.path[0])],
    ),
  );
  const rest = Object.entries({ ...value }).filter(([field]) => !failing.has(field));
  const { id } = rules.trustDomain;
  const harmless = { spiffeId: `${id}/x`, parentId: `${id}/x`, selectors: ['unix:uid:0'] };
  const { data } = entrySchema.safeParse({ ...harmless, ...Object.fromEntries(rest) });
  if (data === undefined || data.variables !== undefined) return [];
  const { draft, faults } = readEntryDocument(data);
  return [...faults, ...findEntryFaults(draft, rules)];
}
