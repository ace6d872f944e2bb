/** What this server remembers of facts that must not go back, and asserts to a store that lost them. */
export { decideRecord, type EraOrder, orderOfEras, ruleFor } from './decide-record.ts';
export { FactJournal, type FactJournalOptions } from './fact-journal.ts';
export type { FactKeeperOptions } from './fact-keeper.ts';
export type { Fact } from './journal-line.ts';
export { markJournal } from './journal-mark.ts';
export { type KeptStore, keepStore } from './kept-store.ts';
export { readEra, writeEra } from './store-era.ts';
