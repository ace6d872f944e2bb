import type { ErrorCode, RegistrationEntry, StreamReport } from '../spiffe/index.ts';

/** What is asked. */
export interface Question {
  /** Where: what only the other end knows is not known. */
  readonly place: 'agent' | 'server';
  readonly spiffeId?: string | undefined;
  /** Name of a secret. */
  readonly resourceName?: string | undefined;
}

/** What an attestor said. */
export interface AttestorFacts {
  readonly attestor: string;
  /** Texts. */
  readonly selectors: readonly string[];
  readonly fault: string | undefined;
  readonly faultCode: ErrorCode | undefined;
  readonly tookMs: number;
}

export interface ProcessFacts {
  readonly pid: number;
  /** Of the process that is there now; undefined: there is none. */
  readonly present: { readonly uid: number; readonly gid: number } | undefined;
  /** Another process had the pid, and its streams are still open. */
  readonly wasReplaced: boolean;
  readonly reports: readonly AttestorFacts[];
  /** When it was attested. */
  readonly at: number;
}

export interface SuspensionFacts {
  readonly kind: string;
  readonly value: string;
  readonly since: number;
  readonly reason: string;
  /** Empty: not told. */
  readonly by: string;
}

/** What was issued before is refused. */
export interface RevocationFacts {
  readonly issuedBefore: number;
  readonly reason: string;
  /** What was named; undefined: not told. */
  readonly kind?: string | undefined;
  readonly value?: string | undefined;
  /** Undefined: not told. */
  readonly by?: string | undefined;
}

/** How the agent stands with its servers. */
export interface AgentStanding {
  readonly agentId: string | undefined;
  /** Server and agent are one process. */
  readonly isLocal: boolean;
  /** End of its SVID; undefined: it has none that is valid, or needs none. */
  readonly expiresAt: number | undefined;
  readonly isBanned: boolean;
  readonly suspension: SuspensionFacts | undefined;
  readonly faults: readonly { readonly code: ErrorCode; readonly message: string }[];
  /** `host:port` in use. */
  readonly server: string | undefined;
  /** A server has told everything since the start. */
  readonly isComplete: boolean;
  /** When a server last told something. */
  readonly updatedAt: number | undefined;
  /** Undefined: not known here. */
  readonly entries: number | undefined;
}

/** What the server said when it was asked. */
export type ServerWord =
  | { readonly kind: 'self' }
  | {
      readonly kind: 'told';
      readonly at: number;
      readonly sentRevision: string;
      readonly heldRevision: string;
      readonly hasBacklog: boolean;
    }
  | { readonly kind: 'unable' }
  | { readonly kind: 'silent'; readonly code: ErrorCode; readonly message: string };

/** The way from an entry up to the agent, as far as it goes. */
export interface ParentChain {
  readonly reaches: boolean;
  /** SPIFFE IDs from the entry's parent upward. */
  readonly path: readonly string[];
  /** Where it ends when it does not reach the agent, and why. */
  readonly end?: { readonly id: string; readonly why: ChainEnd } | undefined;
  /** Of a node alias: what the agent's node does not show. */
  readonly missing?: readonly string[] | undefined;
}

export type ChainEnd = 'no-such-parent' | 'other-agent' | 'alias-not-shown';

/** The agent's SVID of an entry. */
export interface SvidStanding {
  readonly state: 'served' | 'pending' | 'failing';
  readonly serialNumber?: string | undefined;
  readonly issuedAt?: number | undefined;
  readonly expiresAt?: number | undefined;
  /** Attempts that failed since the last success, and the last of these. */
  readonly failures: number;
  readonly error: string;
  readonly errorCode: ErrorCode | undefined;
  readonly nextAttemptAt: number;
  /** One is there whose authority is not in the bundle yet. */
  readonly isStaged: boolean;
  /** Sets of selectors that hold it. */
  readonly holders: number;
}

/** A selector of an entry that is not shown. */
export interface SelectorGap {
  readonly wanted: string;
  /** What is shown of the same kind. */
  readonly shown: readonly string[];
}

export interface EntryFacts {
  readonly entry: RegistrationEntry;
  /** Empty: all of its selectors are shown, or nobody is asked about. */
  readonly gaps: readonly SelectorGap[];
  /** The agent has it as the server does; on a server: true. */
  readonly isHere: boolean;
  /** Undefined: below this agent, or nobody was asked about. */
  readonly chain: ParentChain | undefined;
  readonly gone: { readonly at: number; readonly how: 'expired' | 'deleted' } | undefined;
  readonly suspension: SuspensionFacts | undefined;
  /** What of it was issued before is refused. */
  readonly revocation: RevocationFacts | undefined;
  /** Undefined: nobody has asked for it, or it is not known. */
  readonly svid: SvidStanding | undefined;
}

/** An entry as those know it who have all of them. */
export type KnownEntry = Pick<EntryFacts, 'entry' | 'chain' | 'gone' | 'suspension'>;

/** All that is known about one question at one moment; instants in milliseconds since the epoch. */
export interface Situation {
  readonly now: number;
  readonly question: Question;
  /** What it is about, as people call it. */
  readonly subject: string;
  readonly process: ProcessFacts | undefined;
  /** What is shown, or supposed; texts. Undefined: nobody is asked about. */
  readonly selectors: readonly string[] | undefined;
  /** Undefined: no agent is asked about. */
  readonly agent: AgentStanding | undefined;
  readonly server: ServerWord;
  /** Those that match, that have the ID, and the nearest ones. */
  readonly entries: readonly EntryFacts[];
  /** Those of the process. */
  readonly streams: readonly StreamReport[];
  readonly ownTrustDomain: string;
  /** Names of the foreign trust domains whose bundles are here. */
  readonly bundles: ReadonlySet<string>;
  /** Names of secrets that are not SPIFFE IDs. */
  readonly secretNames: readonly string[];
}
