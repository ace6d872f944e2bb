import type { Certificate } from './certificate.ts';
import type { SpiffeId } from './spiffe-id.ts';

/** What a revocation names: all SVIDs of an ID, of an entry or got through an agent, or a single one. */
export const revocationKinds = ['spiffe-id', 'entry', 'serial', 'agent'] as const;

export type RevocationKind = (typeof revocationKinds)[number];

/** SVIDs of a subject that were issued before an instant are refused (design D12). Immutable. */
export interface Revocation {
  readonly id: string;
  readonly kind: RevocationKind;
  /** A SPIFFE ID, an entry ID, a serial number in hex, or the SPIFFE ID of an agent. */
  readonly value: string;
  /** Milliseconds since the epoch; later SVIDs of the subject are good again. */
  readonly issuedBefore: number;
  /** Milliseconds since the epoch; by then the last SVID that is meant has ended. */
  readonly expiresAt: number;
  readonly reason: string;
  /** The administrator who did it, where servers know of one. */
  readonly by?: string | undefined;
}

/** What is to be known of an SVID to tell whether it is revoked. */
export interface RevocationSubject {
  readonly spiffeId: SpiffeId;
  /** Milliseconds since the epoch; `issueInstant` of an X509-SVID, `iat` of a JWT-SVID. */
  readonly issuedAt: number;
  /** Hex; an X509-SVID's. */
  readonly serialNumber?: string | undefined;
  readonly entryId?: string | undefined;
  /** The agent it was issued through, or itself. */
  readonly agentId?: SpiffeId | undefined;
}

/** Revocations by what they name; see revocationIndexKey. */
export type RevocationIndex = ReadonlyMap<string, Revocation>;

export const noRevocations: RevocationIndex = new Map();

/** Where several name the same subject, the latest instant counts. Expired ones are kept: they are true. */
export function buildRevocationIndex(revocations: Iterable<Revocation>): RevocationIndex {
  const index = new Map<string, Revocation>();
  for (const revocation of revocations) {
    const key = revocationIndexKey(revocation);
    const other = index.get(key);
    if (other === undefined || other.issuedBefore < revocation.issuedBefore) {
      index.set(key, revocation);
    }
  }
  return index;
}

/** The revocation that refuses the SVID, if there is one; four look-ups at most. */
export function findRevocation(
  index: RevocationIndex,
  subject: RevocationSubject,
): Revocation | undefined {
  if (index.size === 0) return undefined;
  const { spiffeId, entryId, agentId, serialNumber } = subject;
  const find = (kind: RevocationKind, value: string | undefined): Revocation | undefined => {
    if (value === undefined) return undefined;
    const found = index.get(revocationIndexKey({ kind, value }));
    return found !== undefined && subject.issuedAt < found.issuedBefore ? found : undefined;
  };
  return (
    find('spiffe-id', spiffeId.toString()) ??
    find('entry', entryId) ??
    find('serial', serialNumber) ??
    find('agent', agentId?.toString())
  );
}

export function isRevoked(index: RevocationIndex, subject: RevocationSubject): boolean {
  return findRevocation(index, subject) !== undefined;
}

const SERIAL_DIGITS = 32;
const TIME_DIGITS = 12;

/**
 * When an X509-SVID was issued, milliseconds since the epoch. Serial numbers of trustplane begin
 * with it: 48 bits of 128. Others (SPIRE's are 128 random bits) are told apart by that instant lying
 * outside the validity; then it is `notBefore`, which no issuance precedes: in doubt an SVID is
 * taken for older than it is, and revoked rather than not.
 */
export function issueInstant(
  certificate: Pick<Certificate, 'serialNumber' | 'notBefore' | 'notAfter'>,
): number {
  const { serialNumber, notBefore, notAfter } = certificate;
  const digits = normalizeSerial(serialNumber).padStart(SERIAL_DIGITS, '0');
  const instant = Number.parseInt(digits.slice(0, TIME_DIGITS), 16);
  const isOwn = digits.length === SERIAL_DIGITS && instant >= notBefore && instant <= notAfter;
  return isOwn ? instant : notBefore;
}

/** One key for each subject. */
export function revocationIndexKey({ kind, value }: Pick<Revocation, 'kind' | 'value'>): string {
  return `${kind} ${kind === 'serial' ? normalizeSerial(value) : value}`;
}

/** Hex of a number is written with and without leading zeros, in both cases. */
function normalizeSerial(hex: string): string {
  return hex.toLowerCase().replace(/^0+/u, '');
}
