import {
  type Bundle,
  type Crl,
  type FederationTerms,
  type PolicyFile,
  type PolicyTexts,
  type RegistrationEntry,
  type Revocation,
  TrustplaneError,
} from '../spiffe/index.ts';
import { messageType, strictBytes } from '../wire/index.ts';
import { buildBundleMessage, type WireBundle } from './bundle-message.ts';
import { buildEntryMessage, type WireEntry } from './entry-message.ts';
import { buildPoliciesMessage, type PolicyHead, type WirePolicies } from './policies-message.ts';
import { buildRevocationMessage, type WireRevocation } from './revocation-message.ts';
import { hashItem } from './state-digest.ts';
import { buildTermsMessage, type WireTerms } from './terms-message.ts';

/** What a state is made of; the letter stands before an item's bytes when it is hashed. */
export type ItemKind = 'e' | 'b' | 'r' | 't' | 'p' | 'f' | 'c';

/** `e:<entry ID>`, `b:<trust domain>`, `r:<revocation ID>`, `t:<trust domain>`, `p:head`, `f:<SHA-256 of a policy file>` or `c:<authority ID>`. */
export type ItemKey = `${ItemKind}:${string}`;

/** One entry, bundle, revocation, the terms of one trust domain, the policies or a file of theirs, or a CRL, as it is sent. Immutable. */
export interface SyncItem {
  readonly key: ItemKey;
  readonly bytes: Uint8Array;
  readonly hash: bigint;
}

/** Of whichever kind: protobuf has judged the types of the fields and no more. */
export type WireItem = WireEntry & WireBundle & WireRevocation & WireTerms & WirePolicies;

/** The kinds that are messages. */
type MessageKind = Exclude<ItemKind, BytesKind>;

/** The kinds that are sent as they are. */
export type BytesKind = 'f' | 'c';

const messageTypes = {
  e: messageType('spire/api/types/entry.proto', 'spire.api.types.Entry'),
  b: messageType('spire/api/types/bundle.proto', 'spire.api.types.Bundle'),
  r: messageType('trustplane/sync/v1/sync.proto', 'trustplane.sync.v1.Revocation'),
  t: messageType('trustplane/sync/v1/sync.proto', 'trustplane.sync.v1.Terms'),
  p: messageType('trustplane/sync/v1/sync.proto', 'trustplane.sync.v1.Policies'),
} as const;

const known = new WeakMap<object, SyncItem>();

export const entryKeyOf = (id: string): ItemKey => `e:${id}`;
export const bundleKeyOf = (trustDomain: string): ItemKey => `b:${trustDomain}`;
export const revocationKeyOf = (id: string): ItemKey => `r:${id}`;
export const termsKeyOf = (trustDomain: string): ItemKey => `t:${trustDomain}`;
export const policiesKey: ItemKey = 'p:head';
export const policyFileKeyOf = (sha256: string): ItemKey => `f:${sha256}`;
export const crlKeyOf = (authorityId: string): ItemKey => `c:${authorityId}`;

/** Encoded once for each entry, however many agents it goes to. */
export function entryItem(entry: RegistrationEntry): SyncItem {
  return known.get(entry) ?? makeItem(entry, entryKeyOf(entry.id), buildEntryMessage(entry));
}

export function bundleItem(bundle: Bundle): SyncItem {
  const key = bundleKeyOf(bundle.trustDomain.name);
  return known.get(bundle) ?? makeItem(bundle, key, buildBundleMessage(bundle));
}

export function revocationItem(revocation: Revocation): SyncItem {
  const key = revocationKeyOf(revocation.id);
  return known.get(revocation) ?? makeItem(revocation, key, buildRevocationMessage(revocation));
}

export function termsItem(trustDomain: string, terms: FederationTerms): SyncItem {
  const key = termsKeyOf(trustDomain);
  const item = known.get(terms);
  // Two trust domains may have the same terms.
  return item?.key === key ? item : makeItem(terms, key, buildTermsMessage(trustDomain, terms));
}

export function policiesItem(head: PolicyHead): SyncItem {
  return known.get(head) ?? makeItem(head, policiesKey, buildPoliciesMessage(head));
}

export function policyFileItem(file: PolicyFile): SyncItem {
  return known.get(file) ?? keepItem(file, policyFileKeyOf(file.sha256), file.bytes);
}

export function crlItem(crl: Crl): SyncItem {
  return known.get(crl) ?? keepItem(crl, crlKeyOf(crl.authorityId), crl.der);
}

/** The version and its files, each of these once; files first. */
export function policyItems(policies: PolicyTexts | undefined): readonly SyncItem[] {
  if (policies === undefined) return [];
  const files = new Map(policies.files.map((file) => [file.sha256, file]));
  return [...[...files.values()].map(policyFileItem), policiesItem(policies)];
}

const kinds: readonly ItemKind[] = ['e', 'b', 'r', 't', 'p', 'f', 'c'];

export function isKind(kind: string | undefined): kind is ItemKind {
  return kinds.some((known) => known === kind);
}

export function kindOf(key: ItemKey): ItemKind {
  const kind = key[0];
  return isKind(kind) ? kind : 'r';
}

export function itemIdOf(key: ItemKey): string {
  return key.slice(2);
}

function makeItem(value: object, key: ItemKey, message: object): SyncItem {
  const kind = kindOf(key);
  if (kind === 'f' || kind === 'c') {
    throw new TrustplaneError('ERR_INTERNAL', 'what is sent as it is is no message');
  }
  const type = messageTypes[kind];
  return keepItem(value, key, type.encode(type.fromObject(message)).finish());
}

function keepItem(value: object, key: ItemKey, bytes: Uint8Array): SyncItem {
  const item = { key, bytes, hash: hashItem(kindOf(key), bytes) };
  known.set(value, item);
  return item;
}

/** The message in an item's bytes, as those of services are decoded. @throws what protobufjs throws */
export function decodeItem(kind: MessageKind, bytes: Uint8Array): WireItem {
  const type = messageTypes[kind];
  return type.toObject(type.decode(strictBytes(bytes)), { longs: String, enums: String });
}
