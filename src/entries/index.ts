/** Registration entries and the index selectors → entries. */
export type { AgentFacts, AuthorizedEntries } from './authorized-entries.ts';
export { type EntryDraft, parseEntryId } from './entry.ts';
export type { EntryFilter, MatchBehavior, SetFilter } from './entry-filter.ts';
export { entryLimits } from './entry-limits.ts';
export { type EntryPage, type PageRequest, pageLimits } from './entry-page.ts';
export {
  type CreatedEntry,
  type EntryEdit,
  EntryRegistry,
  type EntryRegistryOptions,
} from './entry-registry.ts';
export { defaultSelectorTypes } from './entry-selectors.ts';
