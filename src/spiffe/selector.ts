import { TrustplaneError } from './errors.ts';

/** A fact about a workload or a node, as SPIRE writes it: `unix:uid:1000` is type `unix`, value `uid:1000`. */
export interface Selector {
  readonly type: string;
  readonly value: string;
}

/**
 * Parses `type:value`; the value may hold colons.
 * @throws TrustplaneError ERR_SELECTOR
 */
export function parseSelector(text: string): Selector {
  const colon = text.indexOf(':');
  if (colon <= 0 || colon === text.length - 1) {
    throw new TrustplaneError(
      'ERR_SELECTOR',
      `a selector has the form type:value, for example unix:uid:1000; got ${JSON.stringify(text)}`,
    );
  }
  return { type: text.slice(0, colon), value: text.slice(colon + 1) };
}

/** The selector's text, which is also its identity. */
export function formatSelector(selector: Selector): string {
  return `${selector.type}:${selector.value}`;
}

/** A set of selectors in canonical order; `key` is equal exactly when the sets are. */
export class SelectorSet {
  /** Sorted, without duplicates. */
  readonly texts: readonly string[];
  readonly key: string;
  readonly #members: ReadonlySet<string>;

  private constructor(texts: readonly string[]) {
    this.texts = texts;
    this.key = texts.map((text) => `${text.length}:${text}`).join('');
    this.#members = new Set(texts);
  }

  static of(selectors: Iterable<Selector>): SelectorSet {
    return new SelectorSet([...new Set(Array.from(selectors, formatSelector))].sort());
  }

  get size(): number {
    return this.texts.length;
  }

  has(text: string): boolean {
    return this.#members.has(text);
  }

  /** True when every selector of `subset` (texts) is in this set. */
  includesAll(subset: readonly string[]): boolean {
    for (const text of subset) if (!this.#members.has(text)) return false;
    return true;
  }
}
