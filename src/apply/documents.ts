import { DocumentJudge, type Documents } from './document-judge.ts';
import type { DraftRules } from './entry-faults.ts';
import { readPart } from './read-part.ts';
import { type DocumentText, splitDocuments } from './split-documents.ts';

/** Reads all documents, and goes on behind each mistake. */
export function parseDocuments(texts: Iterable<DocumentText>, rules: DraftRules): Documents {
  const judge = new DocumentJudge(rules);
  for (const text of texts)
    for (const part of splitDocuments(text)) judge.take(part, readPart(part));
  return judge.documents;
}
