import { randomBytes } from 'node:crypto';
import { type Log, type Metrics, silentLog } from '../ops/index.ts';
import { type Clock, messageOf, type Timer, TrustplaneError } from '../spiffe/index.ts';
import { type FactHead, FactIndex } from './fact-index.ts';
import { JournalFile } from './journal-file.ts';
import { bodyOffset, damaged } from './journal-frame.ts';
import {
  encodeChange,
  encodeHead,
  type Fact,
  type JournalChange,
  type JournalHead,
  parseLine,
} from './journal-line.ts';

export const journalLimits = {
  /** Of one frame, about. */
  frameBytes: 1_048_576,
  /** A smaller file is left as it is. */
  leastBytes: 4_194_304,
  /** How many times what counts a file may have before it is written anew. */
  surplus: 3,
  /** Deletions kept of each bucket. */
  deletions: 100_000,
  /** Until a write that failed is tried again: this, doubling, up to the other. */
  firstRetryMs: 250,
  retryMs: 5_000,
  /** Until it is on disk how far a bucket was seen. */
  seenMs: 1_000,
} as const;

const COMMIT_SECONDS = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5];

export interface FactJournalOptions {
  /** Made (0600) when missing. */
  readonly path: string;
  readonly trustDomain: string;
  readonly clock: Clock;
  /** Default: silent. */
  readonly log?: Log;
  readonly metrics?: Metrics;
  /** Told when writes begin to fail, and (undefined) when they work again. */
  readonly onWrites?: (fault: string | undefined) => void;
}

interface Waiting {
  readonly changes: readonly JournalChange[];
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * What this server knows of records that must not go back, in an append-only file beside the store. What
 * arrives while a write is under way is written together after it. Values stay on disk.
 */
export class FactJournal {
  /** Made just now: it knows nothing. */
  readonly isNew: boolean;
  readonly id: string;
  readonly #options: FactJournalOptions;
  readonly #log: Log;
  readonly #index: FactIndex;
  readonly #commits;
  #file: JournalFile;
  #queue: Waiting[] = [];
  /** What is in the store already and could not be written here. */
  #owed: readonly JournalChange[] = [];
  #fault: string | undefined;
  #draining: Promise<void> | undefined;
  #retry: Timer | undefined;
  /** Writes that failed one after the other. */
  #failures = 0;
  /** Whether a bucket was seen at a revision that is not on disk yet. */
  #isSeenAhead = false;
  #seenTimer: Timer | undefined;
  #isClosed = false;

  private constructor(
    options: FactJournalOptions,
    file: JournalFile,
    index: FactIndex,
    head: JournalHead,
    isNew: boolean,
  ) {
    this.#options = options;
    this.#log = options.log ?? silentLog;
    this.#file = file;
    this.#index = index;
    this.id = head.id;
    this.isNew = isNew;
    const { metrics } = options;
    this.#commits = metrics?.histogram(
      'trustplane_journal_commit_seconds',
      'Time until a batch of facts is on disk.',
      COMMIT_SECONDS,
    );
    metrics?.readGauge('trustplane_journal_facts_count', 'Facts in the journal.', (set) =>
      set({}, index.size),
    );
    metrics?.readGauge('trustplane_journal_file_bytes', 'Size of the journal.', (set) =>
      set({}, this.#file.bytes),
    );
  }

  /** @throws TrustplaneError ERR_JOURNAL_DAMAGED, ERR_JOURNAL_TRUST_DOMAIN, ERR_FILE_*; then nothing is changed */
  static async open(options: FactJournalOptions): Promise<FactJournal> {
    const { path, trustDomain, clock, log } = options;
    const index = new FactIndex();
    let head: JournalHead | undefined;
    const found = await JournalFile.open(
      path,
      ({ body, offset }) => {
        head ??= readHead(body, options);
        readBody(body, offset, path, index);
      },
      (bytes) => log?.warn({ path, bytes }, 'the journal ended in a write that a crash cut off'),
    );
    index.dropExpired(clock.now());
    if (found !== undefined && head !== undefined) {
      return new FactJournal(options, found, index, head, false);
    }
    const made = { id: randomBytes(8).toString('hex'), trustDomain };
    const file = await JournalFile.create(path, [Buffer.from(`${encodeHead(made)}\n`)]);
    return new FactJournal(options, file, index, made, true);
  }

  /** The era of the store it knows; undefined when it is new. */
  get era(): string | undefined {
    return this.#index.era;
  }

  /** Those the store went through, the oldest first. */
  get eras(): readonly string[] {
    return this.#index.eras;
  }

  /** Up to which revision of this era the bucket was seen; 0: not at all. */
  seen(bucket: string): number {
    return this.#index.seen.get(bucket) ?? 0;
  }

  at(bucket: string, key: string): FactHead | undefined {
    return this.#index.at(bucket, key);
  }

  of(bucket: string): ReadonlyMap<string, FactHead> {
    return this.#index.of(bucket);
  }

  /** @throws TrustplaneError ERR_JOURNAL_DAMAGED, ERR_JOURNAL_WRITE */
  async read(bucket: string, key: string): Promise<Fact | undefined> {
    if (this.at(bucket, key)?.at === undefined) await this.note([]);
    const at = this.at(bucket, key)?.at;
    if (at === undefined) return undefined;
    const line = await this.#file.read(at);
    const fact = parse(line.toString('utf8'), this.#file.path);
    if (fact.type === 'fact' && fact.bucket === bucket && fact.key === key) return fact;
    throw damaged(this.#file.path, `has another line at byte ${at.offset} than was written`);
  }

  /** All that it knows. @throws TrustplaneError ERR_JOURNAL_DAMAGED, ERR_JOURNAL_WRITE */
  async *facts(): AsyncGenerator<Fact> {
    await this.note([]);
    for (const { bucket, key } of Array.from(this.#index.placed())) {
      const fact = await this.read(bucket, key);
      if (fact !== undefined) yield fact;
    }
  }

  /**
   * Resolves when the changes, and all that were noted before, are on disk.
   * @throws TrustplaneError ERR_JOURNAL_WRITE, and then what was not written is with the next that is noted
   */
  async note(changes: readonly JournalChange[]): Promise<void> {
    if (this.#isClosed) throw closedError();
    for (const change of changes) this.#index.apply(change);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#queue.push({ changes, resolve, reject });
    this.#drain();
    await promise;
  }

  /** Up to where a bucket was seen; on disk with what is noted next, or soon. */
  saw(bucket: string, revision: number): void {
    if (this.#isClosed || revision <= this.seen(bucket)) return;
    this.#index.apply({ type: 'seen', bucket, revision });
    this.#isSeenAhead = true;
    this.#seenTimer ??= this.#options.clock.setTimer(journalLimits.seenMs, () => {
      this.#seenTimer = undefined;
      if (this.#isSeenAhead) this.note([]).catch(() => {});
    });
  }

  /** Resolves when nothing is owed to the disk: until then nobody may be told that what is in the store stays. */
  async settled(): Promise<void> {
    if (this.#owed.length > 0) await this.note([]);
  }

  /** Writes what is waiting, and closes the file. */
  async close(): Promise<void> {
    if (this.#isSeenAhead) await this.note([]).catch(() => {});
    this.#isClosed = true;
    this.#retry?.cancel();
    this.#seenTimer?.cancel();
    await this.#draining;
    await this.#file.close();
  }

  #drain(): void {
    this.#draining ??= this.#writeQueue().finally(() => {
      this.#draining = undefined;
      if (this.#queue.length > 0) this.#drain();
    });
  }

  async #writeQueue(): Promise<void> {
    while (this.#queue.length > 0) {
      const waiting = this.#queue;
      this.#queue = [];
      const changes = [...this.#owed, ...waiting.flatMap((one) => one.changes)];
      try {
        await this.#write(changes);
        this.#owed = [];
        this.#tell(undefined);
        for (const { resolve } of waiting) resolve();
      } catch (error) {
        this.#isSeenAhead = true;
        this.#owed = latestOf(changes);
        this.#tell(messageOf(error));
        const failure = error instanceof Error ? error : new Error(messageOf(error));
        for (const { reject } of waiting) reject(failure);
      }
    }
  }

  async #write(facts: readonly JournalChange[]): Promise<void> {
    const changes = this.#isSeenAhead ? [...facts, ...this.#seenChanges()] : facts;
    this.#isSeenAhead = false;
    const end = this.#commits?.startTimer();
    for (const some of framesOf(changes, encodeChange)) {
      const begin = await this.#file.append(Buffer.from(some.text));
      let offset = begin;
      for (const { item, bytes } of some.lines) {
        if (item.type === 'fact') this.#index.place(item, { offset, bytes: bytes - 1 });
        offset += bytes;
      }
    }
    if (changes.length > 0) end?.();
    if (this.#isDue()) await this.#tryCompact();
  }

  #isDue(): boolean {
    const { leastBytes, surplus, deletions } = journalLimits;
    const { liveBytes } = this.#index;
    const isSparse = this.#file.bytes > Math.max(leastBytes, liveBytes * surplus);
    return isSparse || this.#index.deletions > deletions * 2;
  }

  /** What is written stays written when that fails. */
  async #tryCompact(): Promise<void> {
    try {
      await this.#compact();
    } catch (error) {
      this.#log.warn({ error: messageOf(error) }, 'the journal stays larger than it has to be');
    }
  }

  /** Writes what counts into a new file, which takes the place of this one. */
  async #compact(): Promise<void> {
    this.#index.dropExpired(this.#options.clock.now());
    if (this.#index.deletions > journalLimits.deletions * 2) {
      this.#index.limitDeletions(journalLimits.deletions);
    }
    const before = await this.#file.readAll();
    const kept = framesOf(this.#index.placed(), ({ at: { offset, bytes } }) =>
      before.toString('utf8', offset, offset + bytes),
    );
    const bodies = [this.#headLines(), ...kept.map(({ text }) => text)];
    const file = await JournalFile.create(
      this.#file.path,
      bodies.map((body) => Buffer.from(body)),
    );
    const former = this.#file;
    this.#file = file;
    let frameAt = bodyOffset(0) + Buffer.byteLength(this.#headLines());
    for (const { text, lines } of kept) {
      let offset = bodyOffset(frameAt);
      for (const { item, bytes } of lines) {
        this.#index.move(item, { offset, bytes: bytes - 1 });
        offset += bytes;
      }
      frameAt = bodyOffset(frameAt) + Buffer.byteLength(text);
    }
    // Whoever reads it does so to the end.
    await former.close();
  }

  #headLines(): string {
    const { trustDomain } = this.#options;
    const eras = this.#index.eras.map((era): JournalChange => ({ type: 'era', era }));
    const changes = [...eras, ...this.#seenChanges()];
    const lines = [encodeHead({ id: this.id, trustDomain }), ...changes.map(encodeChange)];
    return lines.map((line) => `${line}\n`).join('');
  }

  #seenChanges(): readonly JournalChange[] {
    return [...this.#index.seen].map(([bucket, revision]) => ({ type: 'seen', bucket, revision }));
  }

  #tell(fault: string | undefined): void {
    this.#retry?.cancel();
    if (fault === undefined) this.#failures = 0;
    else if (!this.#isClosed) this.#retryLater();
    if (fault === this.#fault) return;
    this.#fault = fault;
    if (fault === undefined) this.#log.info({}, 'the journal is written again');
    else this.#log.error({ error: fault }, 'the journal cannot be written');
    this.#options.onWrites?.(fault);
  }

  /** Also where nothing is owed but how far a bucket was seen: until it is written, the journal is not well. */
  #retryLater(): void {
    const { firstRetryMs, retryMs } = journalLimits;
    const delayMs = Math.min(firstRetryMs * 2 ** this.#failures++, retryMs);
    const retry = (): void => void this.note([]).catch(() => {});
    this.#retry = this.#options.clock.setTimer(delayMs, retry);
  }
}

interface TextFrame<Item> {
  readonly text: string;
  /** `bytes`: with the line feed. */
  readonly lines: readonly { readonly item: Item; readonly bytes: number }[];
}

/** The lines of all items, as few frames. */
function framesOf<Item>(items: Iterable<Item>, lineOf: (item: Item) => string): TextFrame<Item>[] {
  const frames: TextFrame<Item>[] = [];
  let texts: string[] = [];
  let lines: { item: Item; bytes: number }[] = [];
  let total = 0;
  const end = (): void => {
    if (lines.length > 0) frames.push({ text: texts.join(''), lines });
    [texts, lines, total] = [[], [], 0];
  };
  for (const item of items) {
    const text = `${lineOf(item)}\n`;
    const bytes = Buffer.byteLength(text);
    if (total + bytes > journalLimits.frameBytes) end();
    texts.push(text);
    lines.push({ item, bytes });
    total += bytes;
  }
  end();
  return frames;
}

function readBody(body: Buffer, begin: number, path: string, index: FactIndex): void {
  for (let at = 0; at < body.length; ) {
    const feed = body.indexOf(0x0a, at);
    const end = feed === -1 ? body.length : feed;
    const line = parse(body.toString('utf8', at, end), path);
    if (line.type !== 'head') index.apply(line, { offset: begin + at, bytes: end - at });
    at = end + 1;
  }
}

/** @throws TrustplaneError ERR_JOURNAL_DAMAGED, ERR_JOURNAL_TRUST_DOMAIN */
function readHead(body: Buffer, { path, trustDomain }: FactJournalOptions): JournalHead {
  const feed = body.indexOf(0x0a);
  const head = parse(body.toString('utf8', 0, feed === -1 ? body.length : feed), path);
  if (head.type !== 'head') throw damaged(path, 'does not begin as a journal does');
  if (head.trustDomain === trustDomain) return head;
  throw new TrustplaneError(
    'ERR_JOURNAL_TRUST_DOMAIN',
    `the journal ${path} is of the trust domain ${head.trustDomain}, not of ${trustDomain}; choose another data directory, or that trust domain`,
  );
}

function parse(text: string, path: string): ReturnType<typeof parseLine> {
  try {
    return parseLine(text);
  } catch (error) {
    throw damaged(path, 'has a line that is malformed, or of a newer release', error);
  }
}

/** Of changes of the same thing the last. */
function latestOf(changes: readonly JournalChange[]): readonly JournalChange[] {
  const latest = new Map<string, JournalChange>();
  for (const change of changes) {
    const what = 'bucket' in change ? change.bucket : '';
    const key = 'key' in change ? `${what} ${change.key}` : `${change.type} ${what}`;
    latest.delete(key);
    latest.set(key, change);
  }
  return [...latest.values()];
}

function closedError(): TrustplaneError {
  return new TrustplaneError('ERR_JOURNAL_WRITE', 'the journal is closed');
}
