import type {
  AgentFacts,
  Bundle,
  RegistrationEntry,
  Revocation,
  TrustDomain,
} from '../spiffe/index.ts';
import {
  bundleItem,
  entryItem,
  type HeldItem,
  parseItem,
  revocationItem,
  type SyncItem,
} from '../sync/index.ts';
import { unreadable } from './sealed-value.ts';

/** What a server told, in the order it is written: what takes away before what gives. */
export function itemsOf({ entries, trust, revocations }: AgentFacts): readonly SyncItem[] {
  return [
    ...revocations.map(revocationItem),
    ...[trust.own, ...trust.federated.values()].map(bundleItem),
    ...[...entries.values()].map(entryItem),
  ];
}

/** The item that was kept as `key`. @throws TrustplaneError ERR_CACHE_VALUE */
export function readItem(key: string, bytes: Uint8Array, trustDomain: TrustDomain): HeldItem {
  const kind = key[0];
  if (kind !== 'e' && kind !== 'b' && kind !== 'r') throw unreadable(key, 'is of no known kind');
  try {
    const item = parseItem(kind, bytes, trustDomain);
    if (item.key === key) return item;
  } catch (error) {
    throw unreadable(key, 'is not of the form it should have', error);
  }
  throw unreadable(key, 'is another item than its name says');
}

/** The facts that these items make; none without the own bundle. */
export function factsOf(
  items: Iterable<HeldItem>,
  trustDomain: TrustDomain,
): AgentFacts | undefined {
  const entries = new Map<string, RegistrationEntry>();
  const federated = new Map<string, Bundle>();
  const revocations: Revocation[] = [];
  let own: Bundle | undefined;
  for (const { value } of items) {
    if (value.kind === 'e') entries.set(value.entry.id, value.entry);
    else if (value.kind === 'r') revocations.push(value.revocation);
    else if (value.bundle.trustDomain.equals(trustDomain)) own = value.bundle;
    else federated.set(value.bundle.trustDomain.name, value.bundle);
  }
  return own && { entries, trust: { own, federated, terms: new Map() }, revocations };
}
