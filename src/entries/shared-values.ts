import { parseSelector, type Selector, type SpiffeId } from '../spiffe/index.ts';

/** Of each kind; when there are more, the collection begins anew. */
const MAX_VALUES = 10_000;
const nothing: readonly never[] = [];

/** Values that many entries have in common: each is held once, however often it is read. */
export class SharedValues {
  readonly #parents = new Map<string, SpiffeId>();
  readonly #selectors = new Map<string, Selector>();
  readonly #types = new Map<string, string>();

  parent(text: string, make: () => SpiffeId): SpiffeId {
    return shared(this.#parents, text, make);
  }

  /** @throws TrustplaneError ERR_SELECTOR */
  selector(text: string): Selector {
    return shared(this.#selectors, text, () => {
      const { type, value } = parseSelector(text);
      return { type: shared(this.#types, type, () => type), value };
    });
  }

  list<T>(items: readonly T[]): readonly T[] {
    return items.length === 0 ? nothing : items;
  }
}

function shared<T>(known: Map<string, T>, text: string, make: () => T): T {
  const found = known.get(text);
  if (found !== undefined) return found;
  const made = make();
  if (known.size >= MAX_VALUES) known.clear();
  known.set(text, made);
  return made;
}
