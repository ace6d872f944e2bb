/** A map of at most `maxSize` keys: the one that was not asked for the longest goes first. */
export class LruMap<K, V> {
  readonly #maxSize: number;
  readonly #map = new Map<K, V>();

  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  get size(): number {
    return this.#map.size;
  }

  get(key: K): V | undefined {
    const value = this.#map.get(key);
    if (value === undefined) return undefined;
    this.#map.delete(key);
    this.#map.set(key, value);
    return value;
  }

  set(key: K, value: V): void {
    this.#map.delete(key);
    this.#map.set(key, value);
    if (this.#map.size <= this.#maxSize) return;
    for (const [oldest] of this.#map) return void this.#map.delete(oldest);
  }

  delete(key: K): void {
    this.#map.delete(key);
  }

  /** The longest not asked for first; may be changed meanwhile. */
  entries(): Iterable<[K, V]> {
    return this.#map.entries();
  }

  values(): Iterable<V> {
    return this.#map.values();
  }

  clear(): void {
    this.#map.clear();
  }
}
