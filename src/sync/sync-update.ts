import { quote, TrustplaneError } from '../spiffe/index.ts';
import { buildPosition, type Position, parsePosition, type WirePosition } from './position.ts';
import type { WireCause } from './sync-causes.ts';
import { type ItemKey, type ItemKind, itemIdOf, kindOf, type SyncItem } from './sync-item.ts';

/** A step from one state to the next, or a whole state. Immutable. */
export interface SyncUpdate {
  readonly position: Position;
  /** What it does not hold is to be forgotten. */
  readonly isSnapshot: boolean;
  readonly items: readonly SyncItem[];
  readonly removed: readonly ItemKey[];
}

/** trustplane.sync.v1.SyncResponse */
export interface WireSyncResponse {
  readonly position?: WirePosition | null;
  readonly is_snapshot?: boolean;
  readonly is_last?: boolean;
  readonly entries?: readonly Uint8Array[];
  readonly removed_entry_ids?: readonly string[];
  readonly bundles?: readonly Uint8Array[];
  readonly removed_bundles?: readonly string[];
  readonly revocations?: readonly Uint8Array[];
  readonly removed_revocation_ids?: readonly string[];
  readonly terms?: readonly Uint8Array[];
  readonly removed_terms?: readonly string[];
  readonly policies?: readonly Uint8Array[];
  readonly removed_policies?: readonly string[];
  readonly policy_files?: readonly Uint8Array[];
  readonly removed_policy_files?: readonly string[];
  readonly crls?: readonly Uint8Array[];
  readonly removed_crls?: readonly string[];
  readonly causes?: readonly WireCause[];
  readonly takes_workloads?: boolean;
}

/** One part of an update as it came. */
export interface SyncPart {
  readonly position: Position;
  readonly isSnapshot: boolean;
  readonly isLast: boolean;
  readonly items: readonly { readonly kind: ItemKind; readonly bytes: Uint8Array }[];
  readonly removed: readonly ItemKey[];
}

/** Of the items in one part; a single larger item goes alone. */
const PART_BYTES = 1_000_000;

/** Of a field's tag and length, and then some. */
const FIELD_BYTES = 8;
const MAX_ID_BYTES = 255;
const CODE = 'ERR_SYNC_UPDATE';

type Change = { readonly key: ItemKey; readonly bytes?: Uint8Array };

/** The parts of an update, one after the other; at least one. */
export function* buildParts(
  update: SyncUpdate,
  maxBytes: number = PART_BYTES,
): Generator<WireSyncResponse> {
  const changes: readonly Change[] = [...update.items, ...update.removed.map((key) => ({ key }))];
  let from = 0;
  let bytes = 0;
  for (const [index, change] of changes.entries()) {
    const size = FIELD_BYTES + (change.bytes?.length ?? change.key.length);
    if (index > from && bytes + size > maxBytes) {
      yield buildPart(update, changes.slice(from, index), false);
      from = index;
      bytes = 0;
    }
    bytes += size;
  }
  yield buildPart(update, changes.slice(from), true);
}

function buildPart(
  { position, isSnapshot }: SyncUpdate,
  changes: readonly Change[],
  isLast: boolean,
): WireSyncResponse {
  const items = (kind: ItemKind): Uint8Array[] =>
    changes.flatMap(({ key, bytes }) => (bytes && kindOf(key) === kind ? [bytes] : []));
  const removed = (kind: ItemKind): string[] =>
    changes.flatMap(({ key, bytes }) => (!bytes && kindOf(key) === kind ? [itemIdOf(key)] : []));
  return {
    position: buildPosition(position),
    is_snapshot: isSnapshot,
    is_last: isLast,
    entries: items('e'),
    removed_entry_ids: removed('e'),
    bundles: items('b'),
    removed_bundles: removed('b'),
    revocations: items('r'),
    removed_revocation_ids: removed('r'),
    terms: items('t'),
    removed_terms: removed('t'),
    policies: items('p'),
    removed_policies: removed('p'),
    policy_files: items('f'),
    removed_policy_files: removed('f'),
    crls: items('c'),
    removed_crls: removed('c'),
  };
}

/** The items are read by who takes them. @throws TrustplaneError ERR_SYNC_UPDATE */
export function parsePart(message: WireSyncResponse): SyncPart {
  if (!message.position) throw new TrustplaneError(CODE, 'position: expected one; got none');
  return {
    position: parsePosition(message.position, CODE),
    isSnapshot: message.is_snapshot ?? false,
    isLast: message.is_last ?? false,
    items: [
      ...(message.entries ?? []).map((bytes) => ({ kind: 'e', bytes }) as const),
      ...(message.bundles ?? []).map((bytes) => ({ kind: 'b', bytes }) as const),
      ...(message.revocations ?? []).map((bytes) => ({ kind: 'r', bytes }) as const),
      ...(message.terms ?? []).map((bytes) => ({ kind: 't', bytes }) as const),
      ...(message.policies ?? []).map((bytes) => ({ kind: 'p', bytes }) as const),
      ...(message.policy_files ?? []).map((bytes) => ({ kind: 'f', bytes }) as const),
      ...(message.crls ?? []).map((bytes) => ({ kind: 'c', bytes }) as const),
    ],
    removed: [
      ...(message.removed_entry_ids ?? []).map((id) => removedKey('e', id)),
      ...(message.removed_bundles ?? []).map((id) => removedKey('b', id)),
      ...(message.removed_revocation_ids ?? []).map((id) => removedKey('r', id)),
      ...(message.removed_terms ?? []).map((id) => removedKey('t', id)),
      ...(message.removed_policies ?? []).map((id) => removedKey('p', id)),
      ...(message.removed_policy_files ?? []).map((id) => removedKey('f', id)),
      ...(message.removed_crls ?? []).map((id) => removedKey('c', id)),
    ],
  };
}

function removedKey(kind: ItemKind, id: string): ItemKey {
  if (id.length > 0 && id.length <= MAX_ID_BYTES) return `${kind}:${id}`;
  throw new TrustplaneError(
    CODE,
    `a removed ID: expected 1 to ${MAX_ID_BYTES} characters; got ${quote(id)}`,
  );
}
