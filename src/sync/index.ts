/** How an agent keeps knowing what its server knows: updates, acknowledgements, resuming; no sockets. */
export {
  type BundleConfirmation,
  BundleConfirmations,
  type BundleConfirmationsOptions,
} from './bundle-confirmations.ts';
export {
  type BundleMask,
  buildBundleMessage,
  parseBundleMessage,
  type WireBundle,
  type WireTokenKey,
} from './bundle-message.ts';
export {
  buildEntryMessage,
  type EntryMask,
  parseEntryMessage,
  type WireEntry,
} from './entry-message.ts';
export { joinPolicies, type PolicyHead } from './policies-message.ts';
export type { Position } from './position.ts';
export { buildFacts, type HeldItem, parseItem } from './replica-state.ts';
export {
  buildRevocationMessage,
  parseRevocationMessage,
  type WireRevocation,
} from './revocation-message.ts';
export { formatDigest, type StateDigest, withHash, withoutHash } from './state-digest.ts';
export { MAX_CAUSES, type WireCause } from './sync-causes.ts';
export {
  bundleItem,
  bundleKeyOf,
  crlItem,
  entryItem,
  entryKeyOf,
  type ItemKey,
  isKind,
  itemIdOf,
  kindOf,
  policiesItem,
  policiesKey,
  policyFileItem,
  policyItems,
  revocationItem,
  type SyncItem,
  termsItem,
  termsKeyOf,
} from './sync-item.ts';
export { SyncPublisher, type SyncPublisherOptions, type SyncView } from './sync-publisher.ts';
export {
  type SyncReceipt,
  SyncReplica,
  type SyncReplicaOptions,
  type SyncSession,
} from './sync-replica.ts';
export {
  buildSyncRequest,
  type Laggard,
  parseSyncRequest,
  type SyncRequest,
  type WireSyncRequest,
} from './sync-request.ts';
export {
  buildParts,
  parsePart,
  type SyncPart,
  type SyncUpdate,
  type WireSyncResponse,
} from './sync-update.ts';
export {
  buildSeconds,
  buildSpiffeId,
  parseSpiffeId,
  type WireSelector,
  type WireSpiffeId,
} from './wire-values.ts';
