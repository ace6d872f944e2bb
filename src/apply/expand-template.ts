import { quote } from '../spiffe/index.ts';
import { applyLimits } from './apply-limits.ts';
import type { EntryDocument } from './document-schema.ts';

/** What is wrong with a document, and at which of its fields. */
export interface DocumentFault {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** The plain documents that a template stands for, or why it stands for none. */
export type Expansion =
  | { readonly documents: readonly EntryDocument[] }
  | { readonly faults: readonly DocumentFault[] };

type Values = Readonly<Record<string, string>>;

/** A segment of the path of a SPIFFE ID, no dot first: put together they make no "." and no "..". */
const VALUE = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,252}$/u;
const PLACEHOLDER = /\$\{([^}]*)\}/gu;

/**
 * One document for each combination of the values. Each variable stands in the SPIFFE ID and in a
 * selector: what becomes part of an identity has been attested.
 */
export function expandTemplate(document: EntryDocument): Expansion {
  const { variables } = document;
  if (variables === undefined) return { documents: [document] };
  const faults = [...findValueFaults(variables), ...findUseFaults(document, variables)];
  if (faults.length > 0) return { faults };
  const count = Object.values(variables).reduce((product, values) => product * values.length, 1);
  if (count > applyLimits.combinations) {
    const message = `expected at most ${applyLimits.combinations} combinations, got ${count}`;
    return { faults: [{ path: ['variables'], message }] };
  }
  const documents = combinations(variables).map((values) => fill(document, values));
  const ambiguous = findAmbiguity(documents);
  return ambiguous === undefined ? { documents } : { faults: [ambiguous] };
}

function* findValueFaults(variables: NonNullable<EntryDocument['variables']>) {
  for (const [name, values] of Object.entries(variables)) {
    for (const [index, value] of values.entries()) {
      const path = ['variables', name, index];
      if (!VALUE.test(value)) {
        const expected = '1 to 253 characters out of A-Z, a-z, 0-9, "_", "-" and, not first, "."';
        yield { path, message: `expected ${expected}, got ${quote(value)}` };
      } else if (values.indexOf(value) !== index) {
        yield { path, message: `the value ${quote(value)} stands there twice` };
      }
    }
  }
}

function* findUseFaults(
  document: EntryDocument,
  variables: NonNullable<EntryDocument['variables']>,
): Generator<DocumentFault> {
  const known = Object.keys(variables);
  const { spiffeId, selectors, dnsNames = [], hint = '', parentId, id } = document;
  const uses: readonly (readonly [readonly PropertyKey[], string])[] = [
    [['spiffeId'], spiffeId],
    ...selectors.map((selector, i) => [['selectors', i], selector] as const),
    ...dnsNames.map((dnsName, i) => [['dnsNames', i], dnsName] as const),
    [['hint'], hint],
  ];
  for (const [path, text] of uses) {
    for (const name of namesIn(text)) {
      if (known.includes(name)) continue;
      yield { path, message: `expected a variable out of ${known.join(', ')}, got ${quote(name)}` };
    }
  }
  for (const name of known) {
    const path = ['variables', name];
    if (!namesIn(spiffeId).includes(name))
      yield { path, message: `\${${name}} is not in the spiffeId` };
    if (!selectors.some((selector) => namesIn(selector).includes(name)))
      yield { path, message: `\${${name}} is in no selector, so it would not be attested` };
    const dotted = (variables[name] ?? []).findIndex((value) => value.includes('.'));
    if (dotted !== -1 && dnsNames.some((dnsName) => namesIn(dnsName).includes(name)))
      yield { path: [...path, dotted], message: 'has a dot, and stands for a part of a dnsName' };
  }
  if (namesIn(parentId).length > 0)
    yield { path: ['parentId'], message: 'a variable may not stand for the parent' };
  if (id !== undefined) yield { path: ['id'], message: 'a template has no entry ID' };
}

/** Two combinations that run into each other give one workload the other's identity. */
function findAmbiguity(documents: readonly EntryDocument[]): DocumentFault | undefined {
  const seen = new Set<string>();
  for (const { spiffeId, selectors } of documents) {
    const texts = [`id ${spiffeId}`, `selectors ${JSON.stringify(selectors.toSorted())}`];
    for (const text of texts) {
      if (!seen.has(text)) continue;
      const message = `two combinations of the values make the same ${text.slice(0, 200)}; put something between the variables that no value holds`;
      return { path: ['variables'], message };
    }
    for (const text of texts) seen.add(text);
  }
  return undefined;
}

function combinations(variables: NonNullable<EntryDocument['variables']>): readonly Values[] {
  return Object.entries(variables).reduce<readonly Values[]>(
    (all, [name, values]) =>
      all.flatMap((one) => values.map((value) => ({ ...one, [name]: value }))),
    [{}],
  );
}

function fill(document: EntryDocument, values: Values): EntryDocument {
  const { variables: _, ...rest } = document;
  const put = (text: string): string =>
    text.replaceAll(PLACEHOLDER, (_whole, name: string) => values[name] ?? '');
  return {
    ...rest,
    spiffeId: put(rest.spiffeId),
    selectors: rest.selectors.map(put),
    ...(rest.dnsNames && { dnsNames: rest.dnsNames.map(put) }),
    ...(rest.hint !== undefined && { hint: put(rest.hint) }),
  };
}

function namesIn(text: string): readonly string[] {
  return Array.from(text.matchAll(PLACEHOLDER), ([, name = '']) => name);
}
