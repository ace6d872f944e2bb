import { buildEntryMessage } from '../sync/index.ts';
import type { DocumentsToApply } from './apply-view.ts';
import { buildRequest } from './federation-client.ts';

/** In one message. */
const CHUNK = 500;

/** The messages of an apply. */
export function* requestsOf(documents: DocumentsToApply): Generator<object> {
  const { set, prune, dryRun, allowRemovals, takeOver, expectedPlan, idsAreHints } = documents;
  yield {
    begin: {
      set,
      prune,
      dry_run: dryRun,
      allow_removals: allowRemovals,
      take_over: takeOver,
      ids_are_hints: idsAreHints,
      ...(expectedPlan !== undefined && { expected_plan: Buffer.from(expectedPlan, 'hex') }),
    },
  };
  const { entries, relationships } = documents;
  for (let from = 0; from < entries.length; from += CHUNK) {
    const some = entries.slice(from, from + CHUNK).map(({ entry, id, source }) => ({
      entry: { ...buildEntryMessage(entry), id: id ?? '' },
      source,
    }));
    yield { documents: { entries: some } };
  }
  for (let from = 0; from < relationships.length; from += CHUNK) {
    const some = relationships
      .slice(from, from + CHUNK)
      .map(({ relationship, source }) => ({ ...buildRequest(relationship), source }));
    yield { documents: { relationships: some } };
  }
}
