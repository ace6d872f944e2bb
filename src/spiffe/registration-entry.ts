import type { Selector } from './selector.ts';
import type { SpiffeId } from './spiffe-id.ts';
import type { TrustDomain } from './trust-domain.ts';

/**
 * Who gets which identity: a workload below `parentId` that shows all `selectors` is entitled to
 * `spiffeId`. The fields are SPIRE's (spire.api.types.Entry).
 */
export interface RegistrationEntry {
  readonly id: string;
  readonly spiffeId: SpiffeId;
  /** The agent, node alias or entry below which this entry applies. */
  readonly parentId: SpiffeId;
  /** At least one; sorted by text, without duplicates. */
  readonly selectors: readonly Selector[];
  /** Seconds; 0 takes the server's default. */
  readonly x509SvidTtlSeconds: number;
  /** Seconds; 0 takes the server's default. */
  readonly jwtSvidTtlSeconds: number;
  /** Foreign trust domains whose bundles the workload also gets. */
  readonly federatesWith: readonly TrustDomain[];
  /** DNS SANs of the X509-SVID; the first becomes the CN when the profile asks for one. */
  readonly dnsNames: readonly string[];
  /** Tells the workload how to use the SVID; empty for none, at most 1024 bytes. */
  readonly hint: string;
  readonly admin: boolean;
  readonly downstream: boolean;
  readonly storeSvid: boolean;
  readonly disableX509SvidPrefetch: boolean;
  readonly jwtSvidIncludeJti: boolean;
  /** Milliseconds since the epoch, or undefined for never. */
  readonly expiresAt: number | undefined;
  /** Rises by one with each change of this entry, from 0. */
  readonly revisionNumber: number;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** The set of documents that keeps the entry; undefined: none does. Agents are not told. */
  readonly managedBy?: string | undefined;
}

/** True while the entry has not expired; `now` in milliseconds since the epoch. */
export function isCurrent(
  { expiresAt }: Pick<RegistrationEntry, 'expiresAt'>,
  now: number,
): boolean {
  return expiresAt === undefined || expiresAt > now;
}

/** Sorts entries as workloads see them: the oldest first (createdAt, then ID). */
export function compareAge(a: RegistrationEntry, b: RegistrationEntry): number {
  return a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1);
}
