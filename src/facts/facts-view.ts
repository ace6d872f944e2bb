import {
  type Bundle,
  bundlesEqual,
  emptyBundle,
  type FederationTerms,
  type PolicyFile,
  type PolicyTexts,
  type Revocation,
  type RevocationSubject,
  type TrustDomain,
  type TrustMap,
  TrustplaneError,
  termsEqual,
} from '../spiffe/index.ts';
import { joinPolicies, type PolicyHead } from '../sync/index.ts';
import { type FactKind, idOf, kindOf } from './fact-sections.ts';
import type { Facts, FactsSource } from './facts.ts';
import { type FactsPart, parsePart, type ReadFact } from './parse-part.ts';
import { RevocationTable } from './revocation-table.ts';

/** The update that is coming in; undefined: gone. */
interface Staged {
  readonly first: FactsPart;
  readonly bundles: Map<string, Bundle | undefined>;
  readonly terms: Map<string, FederationTerms | undefined>;
  readonly revocations: Map<string, Revocation | undefined>;
  readonly files: Map<string, PolicyFile | undefined>;
  /** Unless the policies stand as they stood. */
  policies: { readonly head: PolicyHead | undefined } | undefined;
  /** A snapshot's revocations, all of them; they are indexed as they come. */
  readonly table: RevocationTable | undefined;
  lastPart: number;
  bytes: number;
  items: number;
}

/** What one update may hold in all. */
const limits = { items: 250_000, bytes: 268_435_456 } as const;

/**
 * The reading end: the facts as they were told. An update takes effect whole, with its last part, and
 * whatever fails leaves what was known before. Reading a part takes about 5 ms at most.
 */
export class FactsView implements FactsSource {
  readonly #trustDomain: TrustDomain;
  readonly #listeners = new Set<() => void>();
  #revision: number | undefined;
  #staged: Staged | undefined;
  #trust: TrustMap;
  #revocations = new RevocationTable();
  #policies: PolicyTexts | undefined;
  #facts: Facts | undefined;

  constructor(trustDomain: TrustDomain) {
    this.#trustDomain = trustDomain;
    this.#trust = { own: emptyBundle(trustDomain), federated: new Map(), terms: new Map() };
  }

  /** False until a first snapshot was told whole: nothing is to be allowed by then. */
  get isComplete(): boolean {
    return this.#revision !== undefined;
  }

  /** Until the view is complete nobody is trusted. */
  trust(): TrustMap {
    return this.#trust;
  }

  /** The revocation that refuses the SVID, if there is one. */
  findRevocation(subject: RevocationSubject): Revocation | undefined {
    return this.#revocations.find(subject);
  }

  /** What the servers deliver; undefined: nothing. */
  policies(): PolicyTexts | undefined {
    return this.#policies;
  }

  current(): Facts | undefined {
    if (!this.isComplete) return undefined;
    const { list } = this.#revocations;
    return (this.#facts ??= { trust: this.#trust, revocations: list, policies: this.#policies });
  }

  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Takes the next message of a feed; true when that completes an update. The first message of another
   * feed begins with a snapshot, and so takes its place.
   * @throws TrustplaneError ERR_FACTS_UPDATE, ERR_SYNC_BUNDLE, ERR_SYNC_REVOCATION, ERR_SYNC_TERMS,
   * ERR_SYNC_LIMIT: another feed is to be opened; what was known before stands
   */
  apply(message: Uint8Array): boolean {
    try {
      const part = parsePart(message, this.#trustDomain);
      const staged = this.#stage(part, message.length);
      this.#staged = staged;
      if (!part.isLast) return false;
      this.#commit(staged);
      this.#staged = undefined;
      return true;
    } catch (error) {
      this.#staged = undefined;
      throw error;
    }
  }

  #stage(part: FactsPart, bytes: number): Staged {
    const staged = part.part === 0 ? this.#begin(part) : this.#next(part);
    staged.bytes += bytes;
    staged.items += part.facts.length + part.removed.length;
    if (staged.bytes > limits.bytes || staged.items > limits.items) {
      throw fault(`expected at most ${limits.items} items of ${limits.bytes} bytes in an update`);
    }
    for (const fact of part.facts) this.#add(staged, fact);
    for (const key of part.removed) remove(staged, kindOf(key), idOf(key));
    return staged;
  }

  #begin(part: FactsPart): Staged {
    const due = this.#revision === undefined ? undefined : this.#revision + 1;
    if (!part.isSnapshot && part.revision !== due) {
      throw fault(`expected a snapshot or update ${due ?? 1}; got update ${part.revision}`);
    }
    return {
      first: part,
      bundles: new Map(),
      terms: new Map(),
      revocations: new Map(),
      files: new Map(),
      policies: part.isSnapshot ? { head: undefined } : undefined,
      table: part.isSnapshot ? new RevocationTable() : undefined,
      lastPart: 0,
      bytes: 0,
      items: 0,
    };
  }

  #next(part: FactsPart): Staged {
    const staged = this.#staged;
    const isDue =
      staged?.first.revision === part.revision &&
      staged.first.isSnapshot === part.isSnapshot &&
      staged.lastPart + 1 === part.part;
    if (!isDue) throw fault(`part ${part.part} of update ${part.revision} is not due`);
    staged.lastPart = part.part;
    return staged;
  }

  /** What is as it was remains the same object. */
  #add(staged: Staged, fact: ReadFact): void {
    const { bundles, terms, revocations, table, files } = staged;
    if (fact.kind === 'p') {
      staged.policies = { head: fact.head };
    } else if (fact.kind === 'f') {
      files.set(fact.file.sha256, fact.file);
    } else if (fact.kind === 'b') {
      const { name } = fact.bundle.trustDomain;
      const known = this.#bundleOf(name);
      bundles.set(name, known && bundlesEqual(known, fact.bundle) ? known : fact.bundle);
    } else if (fact.kind === 't') {
      const { name } = fact.trustDomain;
      const known = this.#trust.terms.get(name);
      terms.set(name, known && termsEqual(known, fact.terms) ? known : fact.terms);
    } else {
      const { id } = fact.revocation;
      const known = this.#revocations.get(id);
      const kept = known && revocationsEqual(known, fact.revocation) ? known : fact.revocation;
      if (table === undefined) revocations.set(id, kept);
      else table.change([[id, kept]]);
    }
  }

  #bundleOf(name: string): Bundle | undefined {
    if (!this.isComplete) return undefined;
    return name === this.#trustDomain.name ? this.#trust.own : this.#trust.federated.get(name);
  }

  #commit(staged: Staged): void {
    const { first, bundles, terms, revocations, table } = staged;
    const isWhole = first.isSnapshot;
    const trust = this.#nextTrust(isWhole, bundles, terms);
    const policies = nextPolicies(this.#policies, staged);
    if (table !== undefined) this.#revocations = table;
    else this.#revocations.change(revocations);
    this.#trust = trust;
    this.#policies = policies;
    this.#revision = first.revision;
    const hasChanged = isWhole || staged.items > 0;
    if (!hasChanged) return;
    this.#facts = undefined;
    for (const listener of this.#listeners) listener();
  }

  #nextTrust(
    isWhole: boolean,
    bundles: ReadonlyMap<string, Bundle | undefined>,
    terms: ReadonlyMap<string, FederationTerms | undefined>,
  ): TrustMap {
    if (!isWhole && bundles.size === 0 && terms.size === 0) return this.#trust;
    const { name } = this.#trustDomain;
    const own = isWhole || bundles.has(name) ? bundles.get(name) : this.#trust.own;
    if (own === undefined) throw fault(`expected the bundle of ${name}; got none`);
    const federated = merged(isWhole ? undefined : this.#trust.federated, bundles);
    federated.delete(name);
    return { own, federated, terms: merged(isWhole ? undefined : this.#trust.terms, terms) };
  }
}

function remove(staged: Staged, kind: FactKind, id: string): void {
  if (staged.first.isSnapshot) throw fault('a snapshot removes nothing');
  if (kind === 'b') staged.bundles.set(id, undefined);
  else if (kind === 't') staged.terms.set(id, undefined);
  else if (kind === 'r') staged.revocations.set(id, undefined);
  else if (kind === 'p') staged.policies = { head: undefined };
}

function merged<T>(
  base: ReadonlyMap<string, T> | undefined,
  changes: ReadonlyMap<string, T | undefined>,
): Map<string, T> {
  const all = new Map(base);
  for (const [id, value] of changes) {
    if (value === undefined) all.delete(id);
    else all.set(id, value);
  }
  return all;
}

/** Files that no version names any more are let go of. @throws TrustplaneError ERR_FACTS_UPDATE */
function nextPolicies(before: PolicyTexts | undefined, staged: Staged): PolicyTexts | undefined {
  const { policies, files } = staged;
  if (policies === undefined) return before;
  const { head } = policies;
  if (head === undefined || head.hash === before?.hash) return head && before;
  const known = new Map(before?.files.map((file) => [file.sha256, file.bytes]));
  const joined = joinPolicies(head, (sha256) => files.get(sha256)?.bytes ?? known.get(sha256));
  if (joined === undefined) throw fault('expected all files of the policies, within bounds');
  return joined;
}

function revocationsEqual(one: Revocation, other: Revocation): boolean {
  return (
    one.id === other.id &&
    one.kind === other.kind &&
    one.value === other.value &&
    one.issuedBefore === other.issuedBefore &&
    one.expiresAt === other.expiresAt &&
    one.reason === other.reason
  );
}

function fault(why: string): TrustplaneError {
  return new TrustplaneError('ERR_FACTS_UPDATE', `facts: ${why}`);
}
