import { messageOf, quote, type TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import { type HeldItem, parseItem } from '../sync/index.ts';
import { messageType, strictBytes } from '../wire/index.ts';
import type { FactKey, FactKind } from './fact-sections.ts';

/** A fact as it came. */
export type ReadFact = Exclude<HeldItem['value'], { readonly kind: 'e' | 'c' }>;

/** One part of an update as it came. */
export interface FactsPart {
  readonly revision: number;
  /** Its place in the update, from 0. */
  readonly part: number;
  readonly isSnapshot: boolean;
  readonly isLast: boolean;
  readonly facts: readonly ReadFact[];
  readonly removed: readonly FactKey[];
}

/** trustplane.agent.v1.FactsUpdate, what is absent filled in. */
interface WireFactsUpdate {
  readonly revision: number;
  readonly part: number;
  readonly is_snapshot: boolean;
  readonly is_last: boolean;
  readonly bundles: readonly Uint8Array[];
  readonly removed_bundles: readonly string[];
  readonly terms: readonly Uint8Array[];
  readonly removed_terms: readonly string[];
  readonly revocations: readonly Uint8Array[];
  readonly removed_revocation_ids: readonly string[];
  readonly policies: readonly Uint8Array[];
  readonly removed_policies: readonly string[];
  readonly policy_files: readonly Uint8Array[];
  readonly removed_policy_files: readonly string[];
}

const FILE = 'trustplane/agent/v1/facts.proto';
const CODE = 'ERR_FACTS_UPDATE';
const MAX_ID_BYTES = 255;
const updateType = messageType(FILE, 'trustplane.agent.v1.FactsUpdate');

/** @throws TrustplaneError ERR_FACTS_UPDATE, ERR_SYNC_BUNDLE, ERR_SYNC_REVOCATION, ERR_SYNC_TERMS, ERR_SYNC_POLICIES, ERR_SYNC_LIMIT */
export function parsePart(bytes: Uint8Array, trustDomain: TrustDomain): FactsPart {
  const message = decodeUpdate(bytes);
  return {
    revision: message.revision,
    part: message.part,
    isSnapshot: message.is_snapshot,
    isLast: message.is_last,
    facts: [
      ...message.bundles.map((item) => readItem('b', item, trustDomain)),
      ...message.terms.map((item) => readItem('t', item, trustDomain)),
      ...message.revocations.map((item) => readItem('r', item, trustDomain)),
      ...message.policy_files.map((item) => readItem('f', item, trustDomain)),
      ...message.policies.map((item) => readItem('p', item, trustDomain)),
    ],
    removed: [
      ...message.removed_bundles.map((id) => removedKey('b', id)),
      ...message.removed_terms.map((id) => removedKey('t', id)),
      ...message.removed_revocation_ids.map((id) => removedKey('r', id)),
      ...message.removed_policy_files.map((id) => removedKey('f', id)),
      ...message.removed_policies.map((id) => removedKey('p', id)),
    ],
  };
}

/** Strings that are not UTF-8 and fields of another type make no message. */
function decodeUpdate(bytes: Uint8Array): WireFactsUpdate {
  return decoded(() => {
    const filledIn: Partial<WireFactsUpdate> = updateType.toObject(
      updateType.decode(strictBytes(bytes)),
      { defaults: true, arrays: true },
    );
    return { ...nothing, ...filledIn };
  });
}

const nothing: WireFactsUpdate = {
  revision: 0,
  part: 0,
  is_snapshot: false,
  is_last: false,
  bundles: [],
  removed_bundles: [],
  terms: [],
  removed_terms: [],
  revocations: [],
  removed_revocation_ids: [],
  policies: [],
  removed_policies: [],
  policy_files: [],
  removed_policy_files: [],
};

function readItem(kind: FactKind, bytes: Uint8Array, trustDomain: TrustDomain): ReadFact {
  const { value } = parseItem(kind, bytes, trustDomain);
  if (value.kind !== 'e' && value.kind !== 'c') return value;
  throw fault('an item', 'neither entry nor CRL');
}

function removedKey(kind: FactKind, id: string): FactKey {
  if (isId(id)) return `${kind}:${id}`;
  throw fault('a removed ID', `1 to ${MAX_ID_BYTES} bytes`, id);
}

function isId(text: string): boolean {
  return text !== '' && Buffer.byteLength(text) <= MAX_ID_BYTES;
}

function decoded<T>(decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    throw new TrustplaneError(CODE, `facts: no protobuf message: ${messageOf(cause)}`, { cause });
  }
}

function fault(field: string, expected: string, got?: string): TrustplaneError {
  const seen = got === undefined ? '' : `; got ${quote(got)}`;
  return new TrustplaneError(CODE, `facts: ${field}: expected ${expected}${seen}`);
}
