import { setImmediate } from 'node:timers/promises';
import { applyLimits, type Plan, PlanBuilder, type PresentState } from '../apply/index.ts';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import { parseEntryDocument, parseRelationshipDocument } from './apply-messages.ts';
import {
  type ApplyRequest,
  type ApplyServiceOptions,
  type Begun,
  malformed,
  type WireDocuments,
} from './apply-request.ts';
import type { MessageReader } from './message-reader.ts';

/** In one message. */
const MAX_DOCUMENTS = 2_000;

/** Plans what all documents that are sent say. @throws TrustplaneError ERR_APPLY_REQUEST, ERR_APPLY_LIMIT */
export async function readPlan(
  options: ApplyServiceOptions,
  begin: Begun,
  reader: MessageReader<ApplyRequest>,
): Promise<Plan> {
  const builder = new PlanBuilder(presentOf(options), {
    set: begin.set,
    prune: begin.prune ?? false,
    allowRemovals: begin.allow_removals ?? false,
    takeOver: begin.take_over ?? false,
    idsAreHints: begin.ids_are_hints ?? false,
  });
  for (let next = await reader.next(); next !== undefined; next = await reader.next()) {
    if (!next.documents) throw malformed('a message behind begin: expected documents; got none');
    takeDocuments(options, builder, next.documents);
    // Others have their turn.
    await setImmediate();
  }
  return builder.build();
}

/** @throws TrustplaneError ERR_APPLY_LIMIT */
function takeDocuments(
  { trustDomain, clock }: ApplyServiceOptions,
  builder: PlanBuilder,
  { entries = [], relationships = [] }: WireDocuments,
): void {
  const count = entries.length + relationships.length;
  if (count > MAX_DOCUMENTS)
    throw malformed(`documents: expected at most ${MAX_DOCUMENTS} at once; got ${count}`);
  if (builder.size + count > applyLimits.entries) {
    const message = `documents: expected at most ${applyLimits.entries} in all`;
    throw new TrustplaneError('ERR_APPLY_LIMIT', message);
  }
  const rules = { trustDomain, now: clock.now() };
  const each = <Wire extends { readonly source?: string }>(
    some: readonly Wire[],
    take: (wire: Wire) => void,
  ): void => {
    for (const wire of some) {
      try {
        take(wire);
      } catch (error) {
        builder.complain(`${wire.source ?? 'a document'}: ${messageOf(error)}`);
      }
    }
  };
  each(entries, (wire) => builder.addEntry(parseEntryDocument(wire, rules)));
  each(relationships, (wire) => builder.addRelationship(parseRelationshipDocument(wire, rules)));
}

function presentOf({ entries, relationships }: ApplyServiceOptions): PresentState {
  return {
    entry: (id) => entries.standing(id),
    entryLike: (entry) => entries.standingLike(entry),
    entries: () => entries.all(),
    revision: () => entries.revision,
    relationship: (trustDomain) => relationships.get(trustDomain),
    relationships: () => relationships.all(),
  };
}
