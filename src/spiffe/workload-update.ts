import type { Bundle } from './bundle.ts';
import type { IdScope } from './id-scope.ts';
import type { SpiffeId } from './spiffe-id.ts';
import type { TrustDomain } from './trust-domain.ts';

/** One X509-SVID with its key, as a workload receives it. Immutable. */
export interface X509Identity {
  readonly entryId: string;
  readonly spiffeId: SpiffeId;
  /** Empty when there is none; unique within an update (the oldest entry keeps it). */
  readonly hint: string;
  /** DER, leaf first, then intermediates; the root is not in it. */
  readonly certificateChain: readonly Uint8Array[];
  /** PKCS#8 DER. */
  readonly privateKey: Uint8Array;
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
  readonly federatesWith: readonly TrustDomain[];
}

/**
 * Everything one set of workload selectors is entitled to at one moment: the full state, immutable,
 * shared by all streams of all workloads with these selectors (design D6).
 */
export interface WorkloadUpdate {
  /** Content hash over everything below. */
  readonly version: string;
  /** Empty while there is no entry. Stable order: the oldest entry first; the first is the default. */
  readonly identities: readonly X509Identity[];
  /** The bundle of the own trust domain. */
  readonly bundle: Bundle;
  /**
   * CRLs of the own trust domain, DER: one for each authority of the bundle. None: nothing is to be checked
   * against CRLs.
   */
  readonly crls?: readonly Uint8Array[];
  /** Bundles of the trust domains some identity federates with, by trust domain name. */
  readonly federatedBundles: ReadonlyMap<string, Bundle>;
  /** Of which of them some SPIFFE IDs alone are accepted, and which; by trust domain name. */
  readonly accept: ReadonlyMap<string, readonly IdScope[]>;
}

/** Receives what one attached workload may have. Calls come one at a time, never after `onGone`. */
export interface WorkloadListener {
  /**
   * The whole present state. The first call comes as soon as it is known (also when there is no
   * identity yet); the workload was attested again right before each call.
   */
  onUpdate(update: WorkloadUpdate): void;
  /** The process died or was replaced, or attestation failed: nothing more is served to it. */
  onGone(reason: Error): void;
}

/** A workload's attachment; `close` is idempotent. */
export interface WorkloadAttachment {
  close(): void;
}

/** Where services get live identities from; `Peer` is the attestable process behind a connection. */
export interface WorkloadSource<Peer> {
  attach(peer: Peer, listener: WorkloadListener): WorkloadAttachment;
}
