import type { EntryDraft } from '../entries/index.ts';
import type { FederationRelationship } from '../federation/index.ts';
import type { RegistrationEntry } from '../spiffe/index.ts';

/** An entry that is to be there. */
export interface DesiredEntry {
  readonly draft: EntryDraft;
  /** As it would stand; its ID, unless the draft has one, is none. */
  readonly entry: RegistrationEntry;
  /** Where its document stands, as `file:line`. */
  readonly source: string;
}

/** A relationship that is to be there. */
export interface DesiredRelationship {
  readonly relationship: FederationRelationship;
  readonly source: string;
}
