/** Who wanted it, as far as this server could tell by itself. */
export type Requester =
  | { readonly kind: 'agent' | 'spiffe-id'; readonly spiffeId: string }
  /** A process of this host, as the kernel names its user. */
  | { readonly kind: 'user'; readonly uid: number; readonly name?: string | undefined }
  | { readonly kind: 'server' };

/** What an SVID is for: a workload of an agent, an agent itself, an administrator, a server below, this server's ports. */
export type IssuancePurpose = 'workload' | 'agent' | 'mint' | 'downstream' | 'server';

/** What is known of every SVID; instants in milliseconds since the epoch. */
interface Issuance {
  readonly spiffeId: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
  /** What signed it. */
  readonly authorityId: string;
  /** The entry that entitled to it, as it was. */
  readonly entryId?: string | undefined;
  readonly entryRevision?: number | undefined;
  /** Of the agent's selectors, as they were attested; see `digestSelectors`. */
  readonly attestationDigest?: string | undefined;
  readonly requester: Requester;
  readonly purpose: IssuancePurpose;
}

/** An X.509 certificate that was signed. */
export interface X509IssuanceEvent extends Issuance {
  readonly kind: 'x509-svid';
  /** Lower-case hex. */
  readonly serialNumber: string;
}

/** A JWT-SVID that was signed. */
export interface JwtIssuanceEvent extends Issuance {
  readonly kind: 'jwt-svid';
  /** SHA-256 of the compact token, hex; the token itself is nowhere. */
  readonly tokenDigest: string;
  readonly audience: readonly string[];
}

/** A node that wanted to become an agent, or again. */
export interface AttestationEvent {
  readonly kind: 'attestation';
  /** Undefined when it was refused before that was known. */
  readonly agentId?: string | undefined;
  readonly attestor: string;
  readonly attestationDigest?: string | undefined;
  readonly outcome: 'admitted' | 'refused';
  /** Why it was refused. */
  readonly code?: string | undefined;
  /** The address it came from. */
  readonly from?: string | undefined;
  /** Refusals of the same kind that were not recorded one by one, before this one. */
  readonly unrecorded?: number | undefined;
}

/** A call that changes something, or wants to. */
export interface AdminEvent {
  readonly kind: 'admin';
  /** `package.Service/Method`. */
  readonly method: string;
  readonly requester: Requester;
  /** `OK`, `begun`, or the code of the error. */
  readonly outcome: string;
  /** Bounded, without secrets. */
  readonly what: string;
}

/** What happened to the ledger itself. */
export interface LedgerEvent {
  readonly kind: 'ledger';
  readonly what: 'begun' | 'cut' | 'broken' | 'resumed' | 'removed';
  readonly detail: string;
}

/** One fact of the audit ledger. Immutable. */
export type AuditEvent =
  | X509IssuanceEvent
  | JwtIssuanceEvent
  | AttestationEvent
  | AdminEvent
  | LedgerEvent;

export const auditEventKinds: readonly AuditEvent['kind'][] = [
  'x509-svid',
  'jwt-svid',
  'attestation',
  'admin',
  'ledger',
];

/** Where it is recorded what was handed out, and who did what. */
export interface AuditLog {
  /**
   * Resolves when all are durable: nothing is handed out before.
   * @throws TrustplaneError ERR_AUDIT_WRITE; then none of them may be relied on to be there
   */
  record(events: readonly AuditEvent[]): Promise<void>;
  /** Why nothing can be recorded now, where it is known. */
  readonly fault?: string | undefined;
}

/** One certificate of the ledger, for those who have to name it again. */
export interface IssuedRecord {
  /** Lower-case hex. */
  readonly serialNumber: string;
  readonly spiffeId: string;
  readonly entryId: string | undefined;
  /** The agent it was issued through, or to. */
  readonly agentId: string | undefined;
  readonly authorityId: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly purpose: IssuancePurpose;
}

/** What a look at the whole ledger found. */
export interface LedgerVerification {
  readonly findings: readonly LedgerFinding[];
  readonly files: number;
  readonly records: number;
  readonly bytes: number;
  /** What is there, by sequence number; undefined: nothing. Instants in milliseconds since the epoch. */
  readonly first: { readonly sequenceNumber: number; readonly at: number } | undefined;
  readonly last:
    | { readonly sequenceNumber: number; readonly at: number; readonly hash: string }
    | undefined;
  /** Whether both ends were compared with a head record that is good. */
  readonly isAnchored: boolean;
}

/** One thing that is not as it was written. */
export interface LedgerFinding {
  readonly file: string;
  /** From 1; 0: the file as a whole. */
  readonly line: number;
  readonly what: string;
}

/** Who got a certificate, as the ledger has it; instants in milliseconds since the epoch. */
export interface SerialHolder {
  readonly spiffeId: string;
  readonly entryId: string | undefined;
  /** Through which it was got, or whose own it is. */
  readonly agentId: string | undefined;
  readonly purpose: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
}
