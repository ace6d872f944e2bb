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
 * @throws TrustplaneError ERR_APPLY_DOCUMENT with every mistake on a line, ERR_USAGE, ERR_FILE_*
 */
export async function loadDocuments(
  io: Io,
  client: ApplyClient,
  paths: readonly string[],
): Promise<ToApply> {
  const [{ readAllDocuments }, trustDomain] = await Promise.all([
    import('../apply/index.ts'),
    client.trustDomain(),
  ]);
  const rules = { trustDomain, now: systemClock.now() };
  const documents = await readAllDocuments(readDocumentTexts(paths), rules);
  for (const note of documents.notes) io.err(`${note}\n`);
  if (documents.complaints.length === 0) return toApply(documents);
  const sum = `${documents.complaints.length} mistakes; nothing was changed`;
  throw new TrustplaneError('ERR_APPLY_DOCUMENT', [...documents.complaints, sum].join('\n'));
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
