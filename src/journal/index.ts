/** What this server remembers of facts that must not go back, and asserts to a store that lost them. */
export { FactJournal, type FactJournalOptions } from './fact-journal.ts';
export type { FactKeeperOptions } from './fact-keeper.ts';
export { markJournal } from './journal-mark.ts';
export { type KeptStore, keepStore } from './kept-store.ts';
