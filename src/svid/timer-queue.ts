import type { Clock, Timer } from '../spiffe/index.ts';

/** So that a wall clock set forward, or a suspended machine, is noticed soon. */
const LONGEST_SLEEP_MS = 5_000;
/** A step back that the backdating of SVIDs does not cover. */
const REWIND_MS = 30_000;
const SLACK = 64;

interface Item<K> {
  readonly key: K;
  readonly at: number;
}

/** Many wall-clock appointments, at most one per key, behind one timer (a binary heap). */
export class TimerQueue<K> {
  readonly #clock: Clock;
  readonly #onDue: (keys: readonly K[]) => void;
  readonly #onRewind: () => void;
  readonly #items = new Map<K, Item<K>>();
  /** A heap by `at`; items that are no longer in `#items` are skipped when they surface. */
  #heap: Item<K>[] = [];
  #timer: Timer | undefined;
  #wakeAt = Number.POSITIVE_INFINITY;

  /** `onDue` gets all keys that are due; `onRewind` is called when the wall clock was set back by more than 30 s. */
  constructor(clock: Clock, onDue: (keys: readonly K[]) => void, onRewind: () => void) {
    this.#clock = clock;
    this.#onDue = onDue;
    this.#onRewind = onRewind;
  }

  get size(): number {
    return this.#items.size;
  }

  /** What is held in memory: appointments, and a bounded number of those that were moved or cancelled. */
  get backlog(): number {
    return this.#heap.length;
  }

  /** Makes or moves the appointment of `key`. `at`: milliseconds since the epoch. */
  schedule(key: K, at: number): void {
    if (this.#items.get(key)?.at === at) return;
    const item = { key, at };
    this.#items.set(key, item);
    if (this.#heap.length > 2 * this.#items.size + SLACK) this.#rebuild();
    else this.#push(item);
    if (at < this.#wakeAt) this.#arm();
  }

  cancel(key: K): void {
    this.#items.delete(key);
    if (this.#items.size === 0) this.close();
  }

  /** Drops all appointments. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#wakeAt = Number.POSITIVE_INFINITY;
    this.#items.clear();
    this.#heap = [];
  }

  #arm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#wakeAt = Number.POSITIVE_INFINITY;
    const next = this.#peek();
    if (next === undefined) return;
    const now = this.#clock.now();
    const delayMs = Math.min(Math.max(0, next.at - now), LONGEST_SLEEP_MS);
    this.#wakeAt = now + delayMs;
    this.#timer = this.#clock.setTimer(delayMs, () => this.#wake());
  }

  #wake(): void {
    const now = this.#clock.now();
    if (now < this.#wakeAt - REWIND_MS) this.#onRewind();
    const due: K[] = [];
    for (let top = this.#peek(); top !== undefined && top.at <= now; top = this.#peek()) {
      this.#pop();
      this.#items.delete(top.key);
      due.push(top.key);
    }
    if (due.length > 0) this.#onDue(due);
    this.#arm();
  }

  #peek(): Item<K> | undefined {
    for (let top = this.#heap[0]; top !== undefined; top = this.#heap[0]) {
      if (this.#items.get(top.key) === top) return top;
      this.#pop();
    }
    return undefined;
  }

  #push(item: Item<K>): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(item);
    while (index > 0) {
      const up = (index - 1) >> 1;
      const parent = heap[up];
      if (parent === undefined || parent.at <= item.at) break;
      heap[index] = parent;
      index = up;
    }
    heap[index] = item;
  }

  #pop(): void {
    const last = this.#heap.pop();
    if (last === undefined || this.#heap.length === 0) return;
    this.#sink(last);
  }

  #sink(item: Item<K>): void {
    const heap = this.#heap;
    let index = 0;
    for (;;) {
      const left = heap[2 * index + 1];
      const right = heap[2 * index + 2];
      const useRight = right !== undefined && left !== undefined && right.at < left.at;
      const child = useRight ? right : left;
      if (child === undefined || child.at >= item.at) break;
      heap[index] = child;
      index = 2 * index + (useRight ? 2 : 1);
    }
    heap[index] = item;
  }

  #rebuild(): void {
    this.#heap = [];
    for (const item of this.#items.values()) this.#push(item);
  }
}
