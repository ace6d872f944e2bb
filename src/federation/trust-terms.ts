import type { FederationTerms } from '../spiffe/index.ts';
import { type FederationRelationship, publisherOf } from './relationship.ts';

/** On what terms foreign trust domains are trusted. Immutable. */
export interface TrustTerms {
  readonly terms: ReadonlyMap<string, FederationTerms>;
  /** Trust domains whose terms cannot be read: as it is not known what to accept of them, nothing is. */
  readonly unknown: ReadonlySet<string>;
}

export const noTerms: TrustTerms = { terms: new Map(), unknown: new Set() };

const known = new WeakMap<FederationRelationship, FederationTerms>();

/** Of the same relationship they are the same object. */
export function termsOf(relationship: FederationRelationship): FederationTerms {
  const found = known.get(relationship);
  if (found !== undefined) return found;
  const terms = { accept: relationship.accept, publisherId: publisherOf(relationship) };
  known.set(relationship, terms);
  return terms;
}
