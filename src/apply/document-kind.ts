import { quote } from '../spiffe/index.ts';
import { lineOf } from './line-of.ts';
import type { RawDocument } from './raw-document.ts';

const API_VERSION = 'trustplane/v1';
const KINDS = 'RegistrationEntry or FederationRelationship';
const kinds: ReadonlySet<string> = new Set([
  'RegistrationEntry',
  'FederationRelationship',
  'Policy',
]);

interface Heading {
  readonly apiVersion?: unknown;
  readonly kind?: unknown;
}

/** Undefined also for one of another version. */
export function kindOf(value: object = {}): string | undefined {
  const { apiVersion, kind }: Heading = value;
  return apiVersion === API_VERSION && typeof kind === 'string' ? kind : undefined;
}

/** What is wrong with a document that is of no known kind. */
export function findKindFaults(document: RawDocument): readonly string[] {
  const located = document.locate();
  if (document.value === undefined) return [lineOf(located, [], 'expected a mapping')];
  const { apiVersion, kind }: Heading = document.value;
  const faults: string[] = [];
  if (apiVersion !== API_VERSION)
    faults.push(lineOf(located, ['apiVersion'], expected(API_VERSION, apiVersion)));
  if (apiVersion === API_VERSION || !kinds.has(String(kind)))
    faults.push(lineOf(located, ['kind'], expected(KINDS, kind)));
  return faults;
}

function expected(what: string, got: unknown): string {
  return `expected ${what}, got ${typeof got === 'string' ? quote(got) : got === undefined ? 'nothing' : 'another'}`;
}
