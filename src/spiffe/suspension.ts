import type { SpiffeId } from './spiffe-id.ts';

/** What a suspension names: an ID, an entry, or all that is got through an agent, and the agent itself. */
export const suspensionKinds = ['spiffe-id', 'entry', 'agent'] as const;

export type SuspensionKind = (typeof suspensionKinds)[number];

/** Nothing is issued to a subject until a later fact lifts it (design D12). Immutable. */
export interface Suspension {
  readonly id: string;
  readonly kind: SuspensionKind;
  /** A SPIFFE ID, an entry ID, or the SPIFFE ID of an agent. */
  readonly value: string;
  /** Milliseconds since the epoch. */
  readonly since: number;
  readonly reason: string;
  /** Who did it: a SPIFFE ID, or a user of the server's host. */
  readonly by: string;
}

/** Whom an SVID is for: what of it may be suspended. */
export interface SuspensionSubject {
  readonly spiffeId: SpiffeId;
  readonly entryId?: string | undefined;
  /** The agent it is issued through. */
  readonly agentId?: SpiffeId | undefined;
}

/** The suspensions in force. `watch` calls the listener, which must not throw, after each change; it returns the way to stop. */
export interface SuspensionSource {
  find(subject: SuspensionSubject): Suspension | undefined;
  /** The same list until something changes. */
  list(): readonly Suspension[];
  watch(listener: () => void): () => void;
}
