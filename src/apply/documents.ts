import type { z } from 'zod';
import { checkDocument, type LocatedYaml } from '../ops/index.ts';
import {
  formatSelector,
  isCurrent,
  messageOf,
  quote,
  type RegistrationEntry,
} from '../spiffe/index.ts';
import { applyLimits } from './apply-limits.ts';
import { Complaints } from './complaints.ts';
import type { DesiredEntry, DesiredRelationship } from './desired.ts';
import { type EntryDocument, entrySchema, relationshipSchema } from './document-schema.ts';
import { readEntryDocument } from './entry-document.ts';
import { type DraftRules, entryOf, findEntryFaults } from './entry-faults.ts';
import { type DocumentFault, expandTemplate } from './expand-template.ts';
import { type RawDocument, readDocuments } from './read-documents.ts';
import { readRelationshipDocument } from './relationship-document.ts';

const API_VERSION = 'trustplane/v1';
const KINDS = 'RegistrationEntry or FederationRelationship';

/** A file with documents: YAML, or JSON, which is YAML too. */
export interface DocumentText {
  readonly name: string;
  readonly text: string;
}

/** What documents say; it is to be used only if there are no complaints. */
export interface Documents {
  readonly entries: readonly DesiredEntry[];
  readonly relationships: readonly DesiredRelationship[];
  /** All mistakes, each as `file:line:column: field: what was expected, got what came`. */
  readonly complaints: readonly string[];
  /** What was left out, and why. */
  readonly notes: readonly string[];
}

/** Reads all documents, and goes on behind each mistake. */
export function parseDocuments(texts: Iterable<DocumentText>, rules: DraftRules): Documents {
  const reader = new DocumentReader(rules);
  for (const { name, text } of texts) {
    for (const document of readDocuments(name, text)) {
      if ('complaint' in document) reader.complaints.add(...document.complaint.split('\n'));
      else reader.take(document);
    }
  }
  const { entries, relationships, notes, complaints } = reader;
  return { entries, relationships, notes, complaints: complaints.lines };
}

class DocumentReader {
  readonly entries: DesiredEntry[] = [];
  readonly relationships: DesiredRelationship[] = [];
  readonly notes: string[] = [];
  readonly complaints: Complaints = new Complaints();
  readonly #rules: DraftRules;
  /** Where what may be there once stands. */
  readonly #places = new Map<string, string>();

  constructor(rules: DraftRules) {
    this.#rules = rules;
  }

  take(document: RawDocument): void {
    const kind = kindOf(document.value);
    if (kind === 'RegistrationEntry') this.#takeEntry(document);
    else if (kind === 'FederationRelationship') this.#takeRelationship(document);
    else if (kind === 'Policy')
      this.notes.push(`${document.source}: policies are applied by trustplane policy apply`);
    else this.#refuseKind(document);
  }

  #takeEntry(document: RawDocument): void {
    const value = this.#check(document, entrySchema);
    if (value === undefined) return this.#judgeRest(document);
    const expansion = expandTemplate(value);
    if ('faults' in expansion) return this.#complain(document, expansion.faults);
    for (const plain of expansion.documents) {
      const faults = this.#takePlain(document, plain);
      // The next combination has the same mistake.
      if (faults.length > 0) return this.#complain(document, faults);
    }
  }

  /** What else is wrong with a document whose shape is. */
  #judgeRest(document: RawDocument): void {
    const { error } = entrySchema.safeParse(document.value);
    const failing = new Set(
      error?.issues.flatMap((issue) =>
        issue.code === 'unrecognized_keys' ? issue.keys : [String(issue.path[0])],
      ),
    );
    const rest = Object.entries({ ...document.value }).filter(([field]) => !failing.has(field));
    const { id } = this.#rules.trustDomain;
    const harmless = { spiffeId: `${id}/x`, parentId: `${id}/x`, selectors: ['unix:uid:0'] };
    const { data } = entrySchema.safeParse({ ...harmless, ...Object.fromEntries(rest) });
    if (data === undefined || data.variables !== undefined) return;
    const { draft, faults } = readEntryDocument(data);
    this.#complain(document, [...faults, ...findEntryFaults(draft, this.#rules)]);
  }

  #takePlain({ source }: RawDocument, plain: EntryDocument): readonly DocumentFault[] {
    const rules = this.#rules;
    const { draft, faults } = readEntryDocument(plain);
    const expiresAt = (draft.expiresAtSeconds ?? 0) * 1_000 || undefined;
    const isSpent = !isCurrent({ expiresAt }, rules.now);
    const judged = isSpent ? { ...draft, expiresAtSeconds: 0 } : draft;
    const entry = faults.length === 0 ? tryEntry(judged, rules) : undefined;
    if (entry === undefined) return [...faults, ...findEntryFaults(judged, rules)];
    if (this.entries.length >= applyLimits.entries)
      return [{ path: [], message: `expected at most ${applyLimits.entries} entries in all` }];
    const twice = [...this.#noteEntry(entry, draft.id, source)];
    if (isSpent) this.notes.push(`${source}: ${draft.spiffeId} has expired, and is left out`);
    else if (twice.length === 0) this.entries.push({ draft, entry, source });
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
    if (other === undefined) this.relationships.push({ relationship, source });
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
      this.complaints.add(...messageOf(error).split('\n'));
      return undefined;
    }
  }

  #refuseKind(document: RawDocument): void {
    const { value } = document;
    const located = document.locate();
    if (value === undefined) return this.complaints.add(lineOf(located, [], 'expected a mapping'));
    const { apiVersion, kind }: { readonly apiVersion?: unknown; readonly kind?: unknown } = value;
    if (apiVersion !== API_VERSION)
      this.complaints.add(lineOf(located, ['apiVersion'], expected(API_VERSION, apiVersion)));
    if (apiVersion === API_VERSION || !kinds.has(String(kind)))
      this.complaints.add(lineOf(located, ['kind'], expected(KINDS, kind)));
  }

  #complain(document: RawDocument, faults: readonly DocumentFault[]): void {
    const located = document.locate();
    for (const { path, message } of faults) this.complaints.add(lineOf(located, path, message));
  }
}

const kinds: ReadonlySet<string> = new Set([
  'RegistrationEntry',
  'FederationRelationship',
  'Policy',
]);

/** Undefined also for one of another version. */
function kindOf(value: object = {}): string | undefined {
  const { apiVersion, kind }: { readonly apiVersion?: unknown; readonly kind?: unknown } = value;
  return apiVersion === API_VERSION && typeof kind === 'string' ? kind : undefined;
}

function tryEntry(draft: DesiredEntry['draft'], rules: DraftRules): RegistrationEntry | undefined {
  try {
    return entryOf(draft, rules);
  } catch {
    return undefined;
  }
}

function expected(what: string, got: unknown): string {
  return `expected ${what}, got ${typeof got === 'string' ? quote(got) : got === undefined ? 'nothing' : 'another'}`;
}

function lineOf(located: LocatedYaml, path: readonly PropertyKey[], message: string): string {
  const { line, column } = located.position(path);
  const name = path.length === 0 ? '' : `${path.map(String).join('.')}: `;
  return `${located.file}:${line}:${column}: ${name}${message}`;
}
