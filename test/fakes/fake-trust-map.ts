import type { Bundle, FederationTerms, TrustMap, TrustMapSource } from '../../src/spiffe/index.ts';

/** A trust map that the test sets. */
export class FakeTrustMap implements TrustMapSource {
  readonly #listeners = new Set<(map: TrustMap) => void>();
  #map: TrustMap;

  constructor(own: Bundle) {
    this.#map = { own, federated: new Map(), terms: new Map() };
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  current(): TrustMap {
    return this.#map;
  }

  set(own: Bundle, ...federated: readonly Bundle[]): void {
    const byName = new Map(federated.map((bundle) => [bundle.trustDomain.name, bundle]));
    this.#map = { ...this.#map, own, federated: byName };
    this.#tell();
  }

  setTerms(...terms: readonly (readonly [name: string, terms: FederationTerms])[]): void {
    this.#map = { ...this.#map, terms: new Map(terms) };
    this.#tell();
  }

  watch(listener: (map: TrustMap) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell(): void {
    for (const listener of this.#listeners) listener(this.#map);
  }
}
