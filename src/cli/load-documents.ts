import type { DesiredRelationship, Documents } from '../apply/index.ts';
import type { ApplyClient, DocumentsToApply, RelationshipDraft } from '../client/index.ts';
import { systemClock } from '../ops/system-clock.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { readDocumentTexts } from './document-texts.ts';
import type { Io } from './io.ts';

/** What is sent of documents. */
export type ToApply = Pick<DocumentsToApply, 'entries' | 'relationships'>;

/**
 * Reads all documents at the paths; notes go to standard error.
 * @param mayBeNone it is no mistake that there is none
 * @throws TrustplaneError ERR_APPLY_DOCUMENT with every mistake on a line, ERR_USAGE, ERR_FILE_*
 */
export async function loadDocuments(
  io: Io,
  client: Pick<ApplyClient, 'trustDomain'>,
  paths: readonly string[],
  mayBeNone: boolean,
): Promise<ToApply> {
  const [{ readAllDocuments }, trustDomain] = await Promise.all([
    import('../apply/index.ts'),
    client.trustDomain(),
  ]);
  const rules = { trustDomain, now: systemClock.now() };
  const mistakes: string[] = [];
  const texts = readDocumentTexts(paths, (mistake) => void mistakes.push(mistake));
  const documents = await readAllDocuments(texts, rules);
  for (const note of documents.notes) io.err(`${note}\n`);
  mistakes.push(...documents.complaints);
  const { entries, relationships, notes } = documents;
  const isNone = entries.length + relationships.length + notes.length + mistakes.length === 0;
  if (isNone && !mayBeNone) mistakes.push(`${paths.join(', ')}: there is no document`);
  if (mistakes.length === 0) return toApply(documents);
  const sum = `${mistakes.length} mistake${mistakes.length === 1 ? '' : 's'}; nothing was changed`;
  throw new TrustplaneError('ERR_APPLY_DOCUMENT', [...mistakes, sum].join('\n'));
}

export function toApply({
  entries,
  relationships,
}: Pick<Documents, 'entries' | 'relationships'>): ToApply {
  return {
    entries: entries.map(({ entry, draft, source }) => ({ entry, id: draft.id, source })),
    relationships: relationships.map(({ relationship, source }) => ({
      relationship: draftOf(relationship),
      source,
    })),
  };
}

function draftOf(relationship: DesiredRelationship['relationship']): RelationshipDraft {
  const { trustDomain, bundleEndpointUrl, profile, accept, publisherId } = relationship;
  return {
    trustDomain,
    bundleEndpointUrl,
    profile: profile.type,
    endpointSpiffeId: profile.type === 'https_spiffe' ? profile.endpointSpiffeId : undefined,
    accept: accept.map(String),
    publisherId: publisherId?.toString() ?? '',
    awaitAck: relationship.awaitAck,
    webCa: relationship.webCa ?? '',
  };
}
