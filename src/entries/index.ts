/** Registration entries and the index selectors → entries. */
export { AgentClosures } from './agent-closures.ts';
export type { AgentEntries, AttestedNode, AuthorizedEntries } from './authorized-entries.ts';
export type { DepartedEntry } from './departed-entries.ts';
export { type EntryDraft, parseEntry } from './entry.ts';
export type { EntryFilter } from './entry-filter.ts';
export { type EntryChange, EntryGraph } from './entry-graph.ts';
export { EntryIndex } from './entry-index.ts';
export { pageLimits } from './entry-page.ts';
export { requireRoom } from './entry-record.ts';
export { type EntryEdit, EntryRegistry, type StandingEntry } from './entry-registry.ts';
export { WriteQueue } from './write-queue.ts';
