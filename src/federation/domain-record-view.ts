import type { Log, Metrics } from '../ops/index.ts';
import { messageOf, type TrustDomain } from '../spiffe/index.ts';
import type { FeedTarget, StoredRecord, StoreEvent, StoreSnapshot } from '../store/index.ts';
import type { RecordKind } from './record-kind.ts';

interface Held<Value> {
  readonly value: Value;
  readonly revision: number;
  /** As stored. */
  readonly bytes: number;
}

/**
 * The records of one kind in memory, by the name of their trust domain. What cannot be read is left
 * out, or while this runs stays as it was: damage is no evidence of the other trust domain.
 */
export class DomainRecordView<Value> implements FeedTarget {
  readonly #kind: RecordKind<Value>;
  readonly #own: string;
  readonly #log: Log;
  readonly #unreadable;
  readonly #count;
  readonly #onChange: () => void;
  readonly #held = new Map<string, Held<Value>>();
  /** Of whose record nothing can be read, nor could before. */
  readonly #damaged = new Set<string>();
  #names: readonly string[] | undefined;

  constructor(options: {
    readonly kind: RecordKind<Value>;
    /** The own one, of which a record counts for nothing. */
    readonly trustDomain: TrustDomain;
    readonly log: Log;
    readonly metrics: Metrics;
    /** Called after each change of what can be read here. */
    readonly onChange: () => void;
  }) {
    this.#kind = options.kind;
    this.#own = options.trustDomain.name;
    this.#log = options.log;
    this.#onChange = options.onChange;
    const { name } = this.#kind;
    this.#count = options.metrics.gauge(
      `trustplane_federation_${name}s_count`,
      `Trust domains with a federated ${name}.`,
    );
    this.#unreadable = options.metrics.counter(
      `trustplane_federation_${name}s_unreadable_total`,
      `Stored federated ${name}s that could not be read.`,
    );
  }

  /** Sorted. */
  get names(): readonly string[] {
    this.#names ??= [...this.#held.keys()].sort();
    return this.#names;
  }

  /** Trust domains of whose record nothing is known but that it is there. */
  get damaged(): ReadonlySet<string> {
    return this.#damaged;
  }

  at(name: string): Held<Value> | undefined {
    return this.#held.get(name);
  }

  onSnapshot({ records }: StoreSnapshot): void {
    const gone = new Set([...this.#held.keys(), ...this.#damaged]);
    let isChanged = false;
    for (const record of records) {
      const name = this.#kind.nameOf(record.key);
      gone.delete(name);
      const isKnown = this.#held.get(name)?.revision === record.revision;
      if (!isKnown && this.#put(name, record)) isChanged = true;
    }
    for (const name of gone) if (this.#drop(name)) isChanged = true;
    if (isChanged) this.#publish();
  }

  onEvent(event: StoreEvent): void {
    const name = this.#kind.nameOf(event.key);
    if ((this.#held.get(name)?.revision ?? 0) >= event.revision) return;
    const isChanged = event.type === 'put' ? this.#put(name, event) : this.#drop(name);
    if (isChanged) this.#publish();
  }

  #publish(): void {
    this.#count.set(this.#held.size);
    this.#onChange();
  }

  #put(name: string, { key, value, revision }: StoredRecord): boolean {
    const before = this.#held.get(name);
    try {
      if (name === this.#own) throw new Error('it is of the own trust domain');
      const read = this.#kind.decode(key, value);
      this.#held.set(name, { value: read, revision, bytes: value.length });
    } catch (error) {
      this.#unreadable.inc();
      const fields = { trustDomain: name, revision, error: messageOf(error) };
      const outcome = before === undefined ? 'left out' : 'ignored; what was known stays';
      this.#log.error(fields, `the stored ${this.#kind.name} of a trust domain is ${outcome}`);
      if (before !== undefined || this.#damaged.has(name)) return false;
      this.#damaged.add(name);
      return true;
    }
    this.#damaged.delete(name);
    if (before === undefined) this.#names = undefined;
    return true;
  }

  #drop(name: string): boolean {
    const isHeld = this.#held.delete(name);
    if (isHeld) this.#names = undefined;
    return this.#damaged.delete(name) || isHeld;
  }
}
