import type { Log, Metrics } from '../ops/index.ts';
import {
  type Clock,
  messageOf,
  type PolicyFile,
  type PolicyTexts,
  type Timer,
  TrustplaneError,
} from '../spiffe/index.ts';
import { type Bucket, BucketFeed, unlessConflict } from '../store/index.ts';
import { planRepair, type Repair } from './plan-repair.ts';
import { isBroken, PolicyHistory } from './policy-history.ts';
import {
  broken,
  decodeHead,
  HEAD,
  keepFiles,
  type PolicyHead,
  PolicyRecords,
  placeAt,
  type StoredVersion,
  textsOf,
} from './policy-records.ts';
import {
  checkFiles,
  checkWords,
  contentDigestOf,
  describeAuthor,
  makeVersion,
  NO_VERSION,
  type PolicyVersion,
  versionLimits,
} from './policy-version.ts';
import type { Chain } from './verify-chain.ts';

export interface PolicyRegistryOptions {
  /** The bucket `policies`. */
  readonly bucket: Bucket;
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** A version that is to be. */
export interface PolicyDraft
  extends Pick<
    PolicyVersion,
    'author' | 'claimedAuthor' | 'reason' | 'digest' | 'rules' | 'skippedTests'
  > {
  readonly files: readonly PolicyFile[];
  /** The version on which it is based; 0: there is none yet. */
  readonly expected: number;
  /** A new version even if the files are those of the present one. */
  readonly isForced?: boolean;
  /** The history is broken: it goes on from what can be verified of it, and `expected` does not count. */
  readonly isRepair?: boolean;
}

/** What a change came to; not new when the files were those already. */
export interface PolicyChange {
  readonly version: PolicyVersion;
  readonly isNew: boolean;
}

type Words = Pick<PolicyDraft, 'author' | 'claimedAuthor' | 'reason' | 'expected'>;
type Head = PolicyHead & { readonly revision: number };

const PLACE_BYTES = 8;
const RETRY_MS = 1_000;
/** Files that belong to no version are those of a change that broke off; one under way is younger. */
const FORGET_AFTER_MS = 3_600_000;

/**
 * The policies of a trust domain in versions, each chained to the one before by its hash. A change is
 * complete or has not happened, whatever dies meanwhile: the head is written last, by compare-and-set.
 */
export class PolicyRegistry {
  readonly #options: PolicyRegistryOptions;
  readonly #records: PolicyRecords;
  readonly #history: PolicyHistory;
  readonly #feed: BucketFeed;
  readonly #listeners = new Set<() => void>();
  /** By hash. */
  readonly #numbers = new Map<string, number>();
  #version: StoredVersion | undefined;
  #texts: PolicyTexts | undefined;
  /** Of the head that was read last. */
  #revision = 0;
  #fault: string | undefined;
  #following: Promise<void> = Promise.resolve();
  #reading: Promise<void> = Promise.resolve();
  #retry: Timer | undefined;
  #isClosed = false;

  private constructor(options: PolicyRegistryOptions) {
    this.#options = options;
    this.#records = new PolicyRecords(options.bucket);
    this.#history = new PolicyHistory(this.#records);
    this.#feed = new BucketFeed({
      ...options,
      prefix: HEAD,
      what: 'policies',
      target: {
        onSnapshot: ({ records }) => this.#follow(records.find(({ key }) => key === HEAD)),
        onEvent: (event) => this.#follow(event.type === 'put' ? event : undefined),
      },
      closedCode: 'ERR_POLICY_CLOSED',
    });
    options.metrics.readGauge(
      'trustplane_policies_version_count',
      'Version of the policies that the control plane has; 0: there are none.',
      (set) => set({}, this.#version?.version ?? 0),
    );
  }

  /** Reads the present version, verifies the chain that leads to it, and follows until `close`. @throws TrustplaneError ERR_STORE_* */
  static async load(options: PolicyRegistryOptions): Promise<PolicyRegistry> {
    const registry = new PolicyRegistry(options);
    await registry.#feed.load();
    await registry.#reading;
    registry.#following = registry.#feed.follow();
    const { versions, faults } = await registry.#history.list();
    for (const { version, hash } of versions) registry.#numbers.set(hash, version);
    for (const fault of faults) options.log.error({ fault }, 'the history of policies is broken');
    registry.#fault ??= faults[0];
    return registry;
  }

  /** The files of the present version; undefined while there is none, or none that can be read. */
  current(): PolicyTexts | undefined {
    return this.#texts;
  }

  /** The present version. */
  get version(): PolicyVersion | undefined {
    return this.#version;
  }

  /** The number of a version by its hash, of those that this server has seen. */
  versionOf(hash: string): number | undefined {
    return this.#numbers.get(hash);
  }

  /** What is wrong with what the store has, if anything. */
  get fault(): string | undefined {
    return this.#fault;
  }

  /** Up to which revision of the bucket the head is known. */
  get revision(): number {
    return this.#feed.revision;
  }

  /** Resolves when what another server knew at that revision is known; see BucketFeed. @throws TrustplaneError ERR_STORE_BEHIND, ERR_STORE_* */
  async catchUp(revision: number): Promise<void> {
    await this.#feed.catchUp(revision);
    await this.#reading;
  }

  /** Calls the listener, which must not throw, after each change; returns the way to stop. */
  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The present version as the store has it now, 0 for none. @throws TrustplaneError ERR_POLICY_CHAIN, ERR_STORE_* */
  async latest(): Promise<number> {
    return (await this.#records.head())?.version ?? 0;
  }

  /** The versions that are kept, the oldest first, and what is wrong with them. @throws TrustplaneError ERR_STORE_* */
  async history(): Promise<Chain> {
    return await this.#history.list();
  }

  /** As `history`, with a look at the files of each version. @throws TrustplaneError ERR_STORE_* */
  async verify(): Promise<Chain> {
    return await this.#history.verify();
  }

  /** A version with its files. @throws TrustplaneError ERR_POLICY_VERSION, ERR_POLICY_CHAIN, ERR_STORE_* */
  async show(
    version: number,
  ): Promise<{ readonly version: PolicyVersion; readonly texts: PolicyTexts }> {
    const stored = await this.#history.require(version);
    return { version: stored, texts: await this.#records.texts(stored) };
  }

  /**
   * Makes a version of these files; resolves when it is durable and this registry has it.
   * @throws TrustplaneError ERR_POLICY_SET, ERR_POLICY_CONFLICT, ERR_POLICY_CHAIN, ERR_STORE_*
   */
  async apply(draft: PolicyDraft): Promise<PolicyChange> {
    const files = [...draft.files].sort((a, b) => (a.name < b.name ? -1 : 1));
    checkFiles(files);
    checkWords(draft.reason, draft.claimedAuthor);
    const repair = draft.isRepair === true ? await this.#planRepair() : undefined;
    const head = repair === undefined ? await this.#headAt(draft.expected) : repair.head;
    const before =
      repair === undefined && head && (await this.#records.version(head.version, head.hash));
    const contentDigest = contentDigestOf(files);
    if (before && before.contentDigest === contentDigest && draft.isForced !== true)
      return { version: before, isNew: false };
    const { clock, randomBytes } = this.#options;
    const random = Buffer.from(randomBytes(PLACE_BYTES)).toString('hex');
    const place = await this.#records.putTexts(placeAt(clock.now(), random), files);
    const { digest, rules, skippedTests } = draft;
    const facts = { digest, rules, skippedTests, contentDigest, restores: undefined };
    const bytes = files.reduce((sum, file) => sum + file.bytes.length, 0);
    return await this.#commit(
      head,
      { ...this.#next(head, draft), ...repair?.facts, ...facts, files: files.length, bytes },
      place,
      files,
      repair?.revision,
    );
  }

  /** Makes a version of the files of an earlier one. @throws TrustplaneError as `apply`; ERR_POLICY_VERSION */
  async rollback(version: number, words: Words): Promise<PolicyChange> {
    checkWords(words.reason, words.claimedAuthor);
    const head = await this.#headAt(words.expected);
    const stored = await this.#history.require(version);
    const before = head && (await this.#records.version(head.version, head.hash));
    if (before?.contentDigest === stored.contentDigest) return { version: before, isNew: false };
    const { files } = await this.#records.texts(stored);
    const next = { ...this.#next(head, words), restores: version };
    const { digest, contentDigest, bytes, rules, skippedTests, place, parts } = stored;
    const facts = { digest, contentDigest, files: stored.files, bytes, rules, skippedTests };
    return await this.#commit(head, { ...next, ...facts }, { place, parts }, files);
  }

  /**
   * Forgets all versions but the latest; what is kept stays a chain, anchored where it is cut. Returns
   * how many went. @throws TrustplaneError ERR_POLICY_CHAIN, ERR_POLICY_CONFLICT, ERR_STORE_*
   */
  async prune(keep: number): Promise<number> {
    const head = await this.#records.head();
    if (head === undefined) return 0;
    const { versions, faults } = await this.#history.leadingTo(head);
    if (faults[0] !== undefined) throw broken(faults[0]);
    const kept = versions.slice(-Math.max(1, keep));
    const [first] = kept;
    if (first === undefined) return 0;
    const next = {
      version: head.version,
      hash: head.hash,
      first: first.version,
      anchor: first.previous,
    };
    // First of all: a change under way that counts on what goes comes too late.
    const written = await unlessConflict(() => this.#records.putHead(next, head.revision));
    if (written === undefined) throw await this.#conflict(head.version);
    return await this.#records.deleteOthers(kept, this.#options.clock.now() - FORGET_AFTER_MS);
  }

  /** Stops following. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#retry?.cancel();
    this.#feed.close();
    this.#listeners.clear();
    await this.#following;
    await this.#reading;
  }

  async #headAt(expected: number): Promise<Head | undefined> {
    const head = await this.#records.head();
    if ((head?.version ?? 0) === expected) return head;
    throw await this.#conflict(expected);
  }

  async #planRepair(): Promise<Repair> {
    const repair = await planRepair(this.#records, this.#history, this.#version?.hash);
    const { faults, facts } = repair;
    this.#options.log.warn({ faults, ...facts }, 'the history of the policies is to be repaired');
    return repair;
  }

  #next(
    head: Head | undefined,
    { author, claimedAuthor, reason }: Words,
  ): Pick<
    PolicyVersion,
    'version' | 'previous' | 'createdAt' | 'author' | 'claimedAuthor' | 'reason' | 'follows'
  > {
    const kept = head === undefined ? 0 : head.version - head.first + 1;
    if (kept >= versionLimits.versions)
      throw new TrustplaneError(
        'ERR_POLICY_SET',
        `${kept} versions of the policies are kept, the most allowed; forget old ones first (policy prune)`,
      );
    return {
      version: (head?.version ?? 0) + 1,
      previous: head?.hash ?? NO_VERSION,
      createdAt: this.#options.clock.now(),
      author,
      claimedAuthor,
      reason,
      follows: undefined,
    };
  }

  async #commit(
    head: Head | undefined,
    facts: Omit<PolicyVersion, 'hash'>,
    place: { readonly place: string; readonly parts: number },
    files: readonly PolicyFile[],
    revisionNow: number = head?.revision ?? 0,
  ): Promise<PolicyChange> {
    const version = makeVersion(facts);
    await this.#records.putVersion(version, place);
    const { hash } = version;
    const { first, anchor } = head ?? { first: version.version, anchor: version.previous };
    const next = { version: version.version, hash, first, anchor };
    const revision = await this.#putHead(next, revisionNow);
    if (revision === undefined) throw await this.#conflict(version.version - 1);
    const { restores, reason } = version;
    this.#options.log.info(
      {
        version: version.version,
        digest: version.digest,
        author: version.author,
        restores,
        reason,
      },
      'the policies were changed',
    );
    this.#take({ ...version, ...place }, textsOf(version, files), revision);
    return { version, isNew: true };
  }

  /** Undefined when somebody else was faster. What cannot be told from the answer the store knows. */
  async #putHead(next: PolicyHead, expected: number): Promise<number | undefined> {
    try {
      return await unlessConflict(() => this.#records.putHead(next, expected));
    } catch (error) {
      const isOpen = error instanceof TrustplaneError && error.code === 'ERR_STORE_UNAVAILABLE';
      const head = isOpen ? await this.#records.head().catch(() => undefined) : undefined;
      if (head?.hash === next.hash) return head.revision;
      throw error;
    }
  }

  async #conflict(expected: number): Promise<TrustplaneError> {
    const head = await this.#records.head();
    const now =
      head && (await this.#records.version(head.version, head.hash).catch(() => undefined));
    const who = now === undefined ? '' : ` by ${describeAuthor(now)} (${now.reason})`;
    return new TrustplaneError(
      'ERR_POLICY_CONFLICT',
      `the policies are at version ${head?.version ?? 0}${who}, not at version ${expected} which was expected; nothing was changed: look at them and try again`,
    );
  }

  #follow(record: { readonly value: Uint8Array; readonly revision: number } | undefined): void {
    if (record === undefined) {
      if (this.#texts !== undefined) this.#refuse('the head of the policies is gone');
      return;
    }
    this.#retry?.cancel();
    this.#reading = this.#reading.then(async () => await this.#read(record));
  }

  /** Never rejects. */
  async #read(record: { readonly value: Uint8Array; readonly revision: number }): Promise<void> {
    if (record.revision <= this.#revision || this.#isClosed) return;
    try {
      const head = decodeHead(record.value);
      const version = await this.#records.version(head.version, head.hash);
      const isSame = version.hash === this.#version?.hash && this.#texts;
      this.#take(version, isSame || (await this.#records.texts(version)), record.revision);
    } catch (error) {
      this.#refuse(messageOf(error));
      if (isBroken(error) || this.#isClosed) return;
      this.#retry = this.#options.clock.setTimer(RETRY_MS, () => this.#follow(record));
    }
  }

  #take(version: StoredVersion, texts: PolicyTexts, revision: number): void {
    if (revision <= this.#revision) return;
    this.#revision = revision;
    this.#fault = undefined;
    if (version.hash === this.#version?.hash && this.#texts !== undefined) return;
    this.#version = version;
    this.#numbers.set(version.hash, version.version);
    this.#texts = keepFiles(texts, this.#texts);
    for (const listener of this.#listeners) listener();
  }

  /** What was good before stays. */
  #refuse(fault: string): void {
    if (this.#isClosed) return;
    this.#fault = fault;
    this.#options.log.error(
      { fault, version: this.#version?.version },
      'the policies in the store cannot be taken',
    );
  }
}
