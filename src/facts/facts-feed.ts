import type { Clock, Timer } from '../spiffe/index.ts';
import { encodeUpdate } from './encode-update.ts';
import {
  allKeys,
  buildSections,
  changedKeys,
  type FactKey,
  type FactSections,
} from './fact-sections.ts';
import type { Facts, FactsSource } from './facts.ts';
import { FollowedRevocations } from './followed-revocations.ts';

/**
 * Where a feed's messages go, one at a time: the next one is written once `taken` was called for the one
 * before. Encoded `trustplane.agent.v1.FactsUpdate`s.
 */
export type FactsSink = (message: Uint8Array, taken: () => void) => void;

export interface FactsFeedOptions {
  readonly source: FactsSource;
  /** Default: true. */
  readonly tellsPolicies?: boolean;
  readonly clock: Clock;
}

/** An empty update comes as often, so that a reader knows that nothing has changed. */
const BEAT_MS = 10_000;
/** Shared by the feeds of a source, since there may be 100,000. */
const followed = new WeakMap<FactsSource, FollowedRevocations>();
/** More changes than this cost less as a snapshot. */
const MAX_CHANGES = 4_096;

/**
 * The writing end: a snapshot for each reader, as soon as something is known, then what changed since his
 * last message. A reader who is slow gets what changed meanwhile in one update, and costs one message and
 * at most 4,096 keys. All changes of one turn of the event loop are one.
 */
export class FactsFeed {
  readonly #options: FactsFeedOptions;
  readonly #readers = new Set<Reader>();
  readonly #revocations: FollowedRevocations;
  readonly #unwatch: () => void;
  #known:
    | { readonly facts: Facts; readonly told: Facts; readonly sections: FactSections }
    | undefined;
  #isDue = false;
  #beat: Timer;

  constructor(options: FactsFeedOptions) {
    this.#options = options;
    this.#revocations = followed.get(options.source) ?? new FollowedRevocations();
    followed.set(options.source, this.#revocations);
    this.#unwatch = options.source.watch(() => this.#schedule());
    this.#look();
    this.#beat = this.#nextBeat();
  }

  open(sink: FactsSink): { close(): void } {
    const reader = new Reader(sink, () => this.#known?.sections);
    this.#readers.add(reader);
    setImmediate(() => reader.next());
    return {
      close: () => {
        reader.close();
        this.#readers.delete(reader);
      },
    };
  }

  close(): void {
    this.#unwatch();
    this.#beat.cancel();
    for (const reader of this.#readers) reader.close();
    this.#readers.clear();
  }

  #schedule(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    setImmediate(() => {
      this.#isDue = false;
      this.#look();
    });
  }

  #look(): void {
    const facts = this.#options.source.current();
    if (facts === undefined || facts === this.#known?.facts) return;
    const before = this.#known;
    const { tellsPolicies = true } = this.#options;
    const told = tellsPolicies ? facts : { ...facts, policies: undefined };
    const sections = buildSections(told, this.#revocations, before);
    this.#known = { facts, told, sections };
    const keys = before === undefined ? [] : changedKeys(before.sections, sections);
    for (const reader of this.#readers) {
      reader.change(keys);
      reader.next();
    }
  }

  #nextBeat(): Timer {
    return this.#options.clock.setTimer(BEAT_MS, () => {
      for (const reader of this.#readers) reader.beat();
      this.#beat = this.#nextBeat();
    });
  }
}

class Reader {
  readonly #sink: FactsSink;
  readonly #sections: () => FactSections | undefined;
  /** What may differ from what was written last; undefined: all. */
  #changed: Set<FactKey> | undefined;
  /** An update is due even if nothing has changed. */
  #isDue = false;
  /** What is left of the update that is being written. */
  #parts: Iterator<Uint8Array, void> | undefined;
  #revision = 0;
  #isWriting = false;
  #isClosed = false;

  constructor(sink: FactsSink, sections: () => FactSections | undefined) {
    this.#sink = sink;
    this.#sections = sections;
  }

  change(keys: readonly FactKey[]): void {
    if (this.#changed === undefined) return;
    for (const key of keys) this.#changed.add(key);
    if (this.#changed.size > MAX_CHANGES) this.#changed = undefined;
  }

  /** One who is behind needs no sign of life. */
  beat(): void {
    if (this.#isWriting) return;
    this.#isDue = true;
    this.next();
  }

  /** Writes what is to be written, unless the one before was not taken yet. */
  next(): void {
    if (this.#isWriting || this.#isClosed) return;
    const message = this.#nextPart();
    if (message === undefined) return;
    this.#isWriting = true;
    this.#sink(message, () => {
      this.#isWriting = false;
      // A snapshot has many parts, and others want their turn.
      setImmediate(() => this.next());
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#parts = undefined;
    this.#changed = undefined;
  }

  #nextPart(): Uint8Array | undefined {
    this.#parts ??= this.#nextUpdate();
    const part = this.#parts?.next();
    if (part?.value !== undefined) return part.value;
    if (this.#parts === undefined) return undefined;
    this.#parts = undefined;
    return this.#nextPart();
  }

  #nextUpdate(): Iterator<Uint8Array, void> | undefined {
    const sections = this.#sections();
    if (sections === undefined || (this.#changed?.size === 0 && !this.#isDue)) return undefined;
    const keys = this.#changed;
    this.#changed = new Set();
    this.#isDue = false;
    this.#revision += 1;
    const isSnapshot = keys === undefined;
    return encodeUpdate({
      revision: this.#revision,
      isSnapshot,
      keys: keys ?? allKeys(sections),
      sections,
    });
  }
}
