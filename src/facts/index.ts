/** What those who judge SVIDs and requests are told: bundles, terms, revocations, policies; both ends, over whatever carries bytes. */
export type { Facts, FactsSource, PolicyTexts } from './facts.ts';
export { FactsFeed, type FactsFeedOptions, type FactsSink } from './facts-feed.ts';
export { FactsView } from './facts-view.ts';
