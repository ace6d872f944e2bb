import type { z } from 'zod';
import { checkDocument } from '../ops/index.ts';
import { formatSelector, messageOf, type RegistrationEntry } from '../spiffe/index.ts';
import { applyLimits } from './apply-limits.ts';
import { Complaints } from './complaints.ts';
import type { DesiredEntry, DesiredRelationship } from './desired.ts';
import { findKindFaults, kindOf } from './document-kind.ts';
import { type EntryDocument, entrySchema, relationshipSchema } from './document-schema.ts';
import type { DraftRules } from './entry-faults.ts';
import { type DocumentFault, expandTemplate } from './expand-template.ts';
import { judgeEntry, judgeRest } from './judge-entry.ts';
import { lineOf } from './line-of.ts';
import { type RawDocument, rawDocument } from './raw-document.ts';
import type { ReadPart } from './read-part.ts';
import { readRelationshipDocument } from './relationship-document.ts';
import type { DocumentPart } from './split-documents.ts';

/** What documents say; it is to be used only if there are no complaints. */
export interface Documents {
  readonly entries: readonly DesiredEntry[];
  readonly relationships: readonly DesiredRelationship[];
  /** All mistakes, each as `file:line:column: field: what was expected, got what came`. */
  readonly complaints: readonly string[];
  /** What was left out, and why. */
  readonly notes: readonly string[];
}

/** Takes documents one by one, and goes on behind each mistake. */
export class DocumentJudge {
  readonly #entries: DesiredEntry[] = [];
  readonly #relationships: DesiredRelationship[] = [];
  readonly #notes: string[] = [];
  readonly #complaints = new Complaints();
  readonly #rules: DraftRules;
  /** Where what may be there once stands. */
  readonly #places = new Map<string, string>();

  constructor(rules: DraftRules) {
    this.#rules = rules;
  }

  get documents(): Documents {
    return {
      entries: this.#entries,
      relationships: this.#relationships,
      notes: this.#notes,
      complaints: this.#complaints.lines,
    };
  }

  take(part: DocumentPart, read: ReadPart): void {
    if ('complaint' in read) return this.#complaints.add(...read.complaint.split('\n'));
    const document = rawDocument(part, read);
    const kind = kindOf(document.value);
    if (kind === 'RegistrationEntry') this.#takeEntry(document);
    else if (kind === 'FederationRelationship') this.#takeRelationship(document);
    else if (kind === 'Policy')
      this.#notes.push(`${document.source}: policies are applied by trustplane policy apply`);
    else this.#complaints.add(...findKindFaults(document));
  }

  #takeEntry(document: RawDocument): void {
    const value = this.#check(document, entrySchema);
    if (value === undefined)
      return this.#complain(document, judgeRest(document.value, this.#rules));
    const expansion = expandTemplate(value);
    if ('faults' in expansion) return this.#complain(document, expansion.faults);
    for (const plain of expansion.documents) {
      const faults = this.#takePlain(document, plain);
      // The next combination has the same mistake.
      if (faults.length > 0) return this.#complain(document, faults);
    }
  }

  #takePlain({ source }: RawDocument, plain: EntryDocument): readonly DocumentFault[] {
    const judged = judgeEntry(plain, this.#rules);
    if ('faults' in judged) return judged.faults;
    if (this.#entries.length >= applyLimits.entries)
      return [{ path: [], message: `expected at most ${applyLimits.entries} entries in all` }];
    const { draft, entry, isSpent } = judged;
    const twice = [...this.#noteEntry(entry, draft.id, source)];
    if (isSpent) this.#notes.push(`${source}: ${draft.spiffeId} has expired, and is left out`);
    else if (twice.length === 0) this.#entries.push({ draft, entry, source });
    return twice;
  }

  *#noteEntry(
    { parentId, spiffeId, selectors }: RegistrationEntry,
    id: string | undefined,
    source: string,
  ): Generator<DocumentFault> {
    const key = [parentId.path, spiffeId.path, ...selectors.map(formatSelector)].join('\n');
    const other = this.#notePlace(key, source);
    if (other !== undefined)
      yield { path: [], message: `the same parent, ID and selectors as at ${other}` };
    const named = id === undefined ? undefined : this.#notePlace(`id ${id}`, source);
    if (named !== undefined) yield { path: ['id'], message: `the same entry ID as at ${named}` };
  }

  #takeRelationship(document: RawDocument): void {
    const value = this.#check(document, relationshipSchema);
    if (value === undefined) return;
    const read = readRelationshipDocument(value, this.#rules.trustDomain);
    if ('faults' in read) return this.#complain(document, read.faults);
    const { source } = document;
    const { relationship } = read;
    const other = this.#notePlace(`relationship ${relationship.trustDomain.name}`, source);
    if (other === undefined) this.#relationships.push({ relationship, source });
    else this.#complain(document, [{ path: ['trustDomain'], message: `the same as at ${other}` }]);
  }

  /** Where the same stands already. */
  #notePlace(key: string, source: string): string | undefined {
    const other = this.#places.get(key);
    if (other === undefined) this.#places.set(key, source);
    return other;
  }

  #check<Value>(document: RawDocument, schema: z.ZodType<Value>): Value | undefined {
    const result = schema.safeParse(document.value);
    if (result.success) return result.data;
    try {
      return checkDocument(document.locate(), schema);
    } catch (error) {
      this.#complaints.add(...messageOf(error).split('\n'));
      return undefined;
    }
  }

  #complain(document: RawDocument, faults: readonly DocumentFault[]): void {
    if (faults.length === 0) return;
    const located = document.locate();
    for (const { path, message } of faults) this.#complaints.add(lineOf(located, path, message));
  }
}
