import { type AgentFacts, type Bundle, TrustDomain } from '../spiffe/index.ts';
import {
  bundleItem,
  bundleKeyOf,
  crlItem,
  entryItem,
  type HeldItem,
  isKind,
  parseItem,
  policyItems,
  revocationItem,
  type SyncItem,
  termsItem,
} from '../sync/index.ts';
import { unreadable } from './sealed-value.ts';

/**
 * What a server told, in the order it is written: what takes away before what gives, and the version of the
 * policies behind its files.
 */
export function itemsOf({
  entries,
  trust,
  revocations,
  policies,
  crls = [],
}: AgentFacts): readonly SyncItem[] {
  return [
    ...revocations.map(revocationItem),
    ...[...trust.terms].map(([name, terms]) => termsItem(name, terms)),
    ...policyItems(policies),
    ...crls.map(crlItem),
    ...[trust.own, ...trust.federated.values()].map(bundleItem),
    ...[...entries.values()].map(entryItem),
  ];
}

/** The item that was kept as `key`. @throws TrustplaneError ERR_CACHE_VALUE */
export function readItem(key: string, bytes: Uint8Array, trustDomain: TrustDomain): HeldItem {
  const kind = key[0];
  if (!isKind(kind)) throw unreadable(key, 'is of no known kind');
  try {
    const item = parseItem(kind, bytes, trustDomain);
    if (item.key === key) return item;
  } catch (error) {
    throw unreadable(key, 'is not of the form it should have', error);
  }
  throw unreadable(key, 'is another item than its name says');
}

/** The bundle that was kept of a trust domain. @throws TrustplaneError ERR_CACHE_VALUE */
export function readBundle(name: string, bytes: Uint8Array): Bundle {
  const { value } = readItem(bundleKeyOf(name), bytes, TrustDomain.parse(name));
  if (value.kind === 'b') return value.bundle;
  throw unreadable(name, 'is no bundle');
}
