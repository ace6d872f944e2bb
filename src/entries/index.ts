/** Registration entries and the index selectors → entries. */
export type { AgentEntries, AuthorizedEntries } from './authorized-entries.ts';
export type { EntryDraft } from './entry.ts';
export type { EntryFilter } from './entry-filter.ts';
export { EntryIndex } from './entry-index.ts';
export { pageLimits } from './entry-page.ts';
export { type EntryEdit, EntryRegistry } from './entry-registry.ts';
export { defaultSelectorTypes } from './entry-selectors.ts';
