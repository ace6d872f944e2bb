/** What those who judge SVIDs and requests are told: bundles, terms, revocations, policies; both ends, over whatever carries bytes. */
export type { Facts, FactsSource } from './facts.ts';
export { FactsClient, type FactsClientOptions } from './facts-client.ts';
export { FactsFeed, type FactsFeedOptions, type FactsSink } from './facts-feed.ts';
export type { FactsReport } from './facts-report.ts';
export {
  createFactsService,
  type FactsReaders,
  type FactsServiceOptions,
} from './facts-service.ts';
export { FactsView } from './facts-view.ts';
export { revocationChanges } from './followed-revocations.ts';
export { LapsingFacts, type LapsingFactsOptions } from './lapsing-facts.ts';
export { RevocationTable } from './revocation-table.ts';
