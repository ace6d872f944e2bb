import {
  type AgentFacts,
  type Bundle,
  type Crl,
  type FederationTerms,
  messageOf,
  type PolicyFile,
  parseCrl,
  policyFile,
  policyTextLimits,
  type RegistrationEntry,
  type Revocation,
  TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import { parseBundleMessage } from './bundle-message.ts';
import { parseEntryMessage } from './entry-message.ts';
import { itemLimits } from './item-limits.ts';
import { joinPolicies, type PolicyHead, parsePoliciesMessage } from './policies-message.ts';
import { parseRevocationMessage } from './revocation-message.ts';
import { formatDigest, hashItem, withHash, withoutHash } from './state-digest.ts';
import {
  type BytesKind,
  bundleItem,
  bundleKeyOf,
  crlItem,
  crlKeyOf,
  decodeItem,
  entryItem,
  entryKeyOf,
  type ItemKey,
  type ItemKind,
  policiesItem,
  policiesKey,
  policyFileItem,
  policyFileKeyOf,
  revocationItem,
  revocationKeyOf,
  termsItem,
  termsKeyOf,
  type WireItem,
} from './sync-item.ts';
import { parseTermsMessage } from './terms-message.ts';

/** One item as it was read, with the hash of the bytes it came in. */
export interface HeldItem {
  readonly key: ItemKey;
  readonly hash: bigint;
  readonly value:
    | { readonly kind: 'e'; readonly entry: RegistrationEntry }
    | { readonly kind: 'b'; readonly bundle: Bundle }
    | { readonly kind: 'r'; readonly revocation: Revocation }
    | { readonly kind: 't'; readonly trustDomain: TrustDomain; readonly terms: FederationTerms }
    | { readonly kind: 'p'; readonly head: PolicyHead }
    | { readonly kind: 'f'; readonly file: PolicyFile }
    | { readonly kind: 'c'; readonly crl: Crl };
}

/** Everything an agent was told, by item. Immutable. */
export class ReplicaState {
  static readonly empty: ReplicaState = new ReplicaState(new Map(), 0n);
  readonly #items: ReadonlyMap<ItemKey, HeldItem>;
  readonly #digest: bigint;

  private constructor(items: ReadonlyMap<ItemKey, HeldItem>, digest: bigint) {
    this.#items = items;
    this.#digest = digest;
  }

  /** The state that a server of this release would have sent for these facts. */
  static of({ entries, trust, revocations, policies, crls = [] }: AgentFacts): ReplicaState {
    const items: HeldItem[] = [];
    for (const entry of entries.values()) {
      items.push({ ...entryItem(entry), value: { kind: 'e', entry } });
    }
    for (const bundle of [trust.own, ...trust.federated.values()]) {
      items.push({ ...bundleItem(bundle), value: { kind: 'b', bundle } });
    }
    for (const [name, terms] of trust.terms) {
      const trustDomain = TrustDomain.parse(name);
      items.push({ ...termsItem(name, terms), value: { kind: 't', trustDomain, terms } });
    }
    for (const revocation of revocations) {
      items.push({ ...revocationItem(revocation), value: { kind: 'r', revocation } });
    }
    for (const file of policies?.files ?? []) {
      items.push({ ...policyFileItem(file), value: { kind: 'f', file } });
    }
    if (policies !== undefined) {
      items.push({ ...policiesItem(policies), value: { kind: 'p', head: policies } });
    }
    for (const crl of crls) items.push({ ...crlItem(crl), value: { kind: 'c', crl } });
    return ReplicaState.empty.with(new Map(items.map((item) => [item.key, item])));
  }

  get digest(): string {
    return formatDigest(this.#digest);
  }

  /** The state after these items came (undefined: went). */
  with(changes: ReadonlyMap<ItemKey, HeldItem | undefined>): ReplicaState {
    const items = new Map(this.#items);
    let digest = this.#digest;
    for (const [key, item] of changes) {
      const before = items.get(key);
      if (before !== undefined) digest = withoutHash(digest, before.hash);
      if (item === undefined) {
        items.delete(key);
      } else {
        items.set(key, item);
        digest = withHash(digest, item.hash);
      }
    }
    return new ReplicaState(items, digest);
  }

  /** @throws TrustplaneError ERR_SYNC_UPDATE without the own bundle, or a file of the policies */
  facts(trustDomain: TrustDomain): AgentFacts {
    const facts = buildFacts(this.#items.values(), trustDomain);
    if (facts !== undefined && (facts.policies !== undefined || !this.#items.has(policiesKey))) {
      return facts;
    }
    if (facts !== undefined) {
      const message = 'an update: expected all files of the policies, within bounds; got others';
      throw new TrustplaneError('ERR_SYNC_UPDATE', message);
    }
    const message = `an update: expected the bundle of ${trustDomain.name}; got none`;
    throw new TrustplaneError('ERR_SYNC_UPDATE', message);
  }
}

/** The facts that these items make; none without the own bundle, no policies without all of their files. */
export function buildFacts(
  items: Iterable<Pick<HeldItem, 'value'>>,
  trustDomain: TrustDomain,
): AgentFacts | undefined {
  const entries = new Map<string, RegistrationEntry>();
  const federated = new Map<string, Bundle>();
  const terms = new Map<string, FederationTerms>();
  const revocations: Revocation[] = [];
  const files = new Map<string, Uint8Array>();
  const crls: Crl[] = [];
  let head: PolicyHead | undefined;
  let own: Bundle | undefined;
  for (const { value } of items) {
    if (value.kind === 'e') entries.set(value.entry.id, value.entry);
    else if (value.kind === 'r') revocations.push(value.revocation);
    else if (value.kind === 't') terms.set(value.trustDomain.name, value.terms);
    else if (value.kind === 'f') files.set(value.file.sha256, value.file.bytes);
    else if (value.kind === 'p') head = value.head;
    else if (value.kind === 'c') crls.push(value.crl);
    else if (value.bundle.trustDomain.equals(trustDomain)) own = value.bundle;
    else federated.set(value.bundle.trustDomain.name, value.bundle);
  }
  const policies = head && joinPolicies(head, (sha256) => files.get(sha256));
  const trust = own && { own, federated, terms };
  return trust && { entries, trust, revocations, policies, ...(crls.length > 0 && { crls }) };
}

/** @throws TrustplaneError ERR_SYNC_ENTRY, ERR_SYNC_BUNDLE, ERR_SYNC_REVOCATION, ERR_SYNC_TERMS, ERR_SYNC_POLICIES, ERR_SYNC_CRL, ERR_SYNC_LIMIT */
export function parseItem(kind: ItemKind, bytes: Uint8Array, trustDomain: TrustDomain): HeldItem {
  if (bytes.length > itemLimits.bytes) {
    const message = `an item: expected at most ${itemLimits.bytes} bytes; got ${bytes.length}`;
    throw new TrustplaneError('ERR_SYNC_LIMIT', message);
  }
  const hash = hashItem(kind, bytes);
  if (kind === 'e') {
    const entry = parseEntryMessage(decode(kind, bytes, 'ERR_SYNC_ENTRY'), trustDomain);
    return { key: entryKeyOf(entry.id), hash, value: { kind, entry } };
  }
  if (kind === 'b') {
    const bundle = parseBundleMessage(decode(kind, bytes, 'ERR_SYNC_BUNDLE'));
    return { key: bundleKeyOf(bundle.trustDomain.name), hash, value: { kind, bundle } };
  }
  if (kind === 't') {
    const parsed = parseTermsMessage(decode(kind, bytes, 'ERR_SYNC_TERMS'));
    return { key: termsKeyOf(parsed.trustDomain.name), hash, value: { kind, ...parsed } };
  }
  if (kind === 'p') {
    const head = parsePoliciesMessage(decode(kind, bytes, 'ERR_SYNC_POLICIES'));
    return { key: policiesKey, hash, value: { kind, head } };
  }
  if (kind === 'f') {
    if (bytes.length > policyTextLimits.fileBytes) {
      const message = `a policy file: expected at most ${policyTextLimits.fileBytes} bytes; got ${bytes.length}`;
      throw new TrustplaneError('ERR_SYNC_LIMIT', message);
    }
    const file = policyFile('', bytes);
    return { key: policyFileKeyOf(file.sha256), hash, value: { kind, file } };
  }
  if (kind === 'c') {
    const crl = readCrl(bytes);
    return { key: crlKeyOf(crl.authorityId), hash, value: { kind, crl } };
  }
  const revocation = parseRevocationMessage(decode(kind, bytes, 'ERR_SYNC_REVOCATION'));
  return { key: revocationKeyOf(revocation.id), hash, value: { kind, revocation } };
}

/** Whether it is of an authority is judged where it is used. */
function readCrl(bytes: Uint8Array): Crl {
  try {
    return parseCrl(Uint8Array.from(bytes));
  } catch (cause) {
    throw new TrustplaneError('ERR_SYNC_CRL', messageOf(cause), { cause });
  }
}

function decode(
  kind: Exclude<ItemKind, BytesKind>,
  bytes: Uint8Array,
  code:
    | 'ERR_SYNC_ENTRY'
    | 'ERR_SYNC_BUNDLE'
    | 'ERR_SYNC_REVOCATION'
    | 'ERR_SYNC_TERMS'
    | 'ERR_SYNC_POLICIES',
): WireItem {
  try {
    return decodeItem(kind, bytes);
  } catch (cause) {
    throw new TrustplaneError(code, `no protobuf message: ${messageOf(cause)}`, { cause });
  }
}
