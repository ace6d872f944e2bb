import { TrustplaneError } from './errors.ts';
import { quote } from './quote.ts';

/** A fact about a workload or a node, as SPIRE writes it: `unix:uid:1000` is type `unix`, value `uid:1000`. */
export interface Selector {
  readonly type: string;
  readonly value: string;
}

/**
 * The types that attestors of trustplane and SPIRE make; `spiffe_id` is the one every attested node
 * shows. Other attestors make others.
 */
export const knownSelectorTypes: readonly string[] = [
  'aws_iid',
  'azure_imds',
  'azure_msi',
  'docker',
  'gcp_iit',
  'http_challenge',
  'join_token',
  'k8s',
  'k8s_psat',
  'local',
  'slurm',
  'spiffe_id',
  'sshpop',
  'systemd',
  'tpm_devid',
  'unix',
  'windows',
  'x509pop',
];

const TYPE = /^[A-Za-z0-9._-]{1,64}$/u;
const MAX_VALUE_BYTES = 4096;
/** Control characters and lone surrogates. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}]/u;

/**
 * Parses `type:value`: a type of 1 to 64 characters out of `[A-Za-z0-9._-]`, and a value of 1 to 4096
 * bytes without control characters, which may hold colons.
 * @throws TrustplaneError ERR_SELECTOR
 */
export function parseSelector(text: string): Selector {
  const colon = text.indexOf(':');
  const type = text.slice(0, Math.max(colon, 0));
  const value = text.slice(colon + 1);
  if (colon === -1 || !TYPE.test(type) || value === '') {
    throw invalid(
      `a selector has the form type:value, for example unix:uid:1000; got ${quote(text)}`,
    );
  }
  const bytes = Buffer.byteLength(value);
  if (bytes > MAX_VALUE_BYTES) {
    throw invalid(`a selector value has ${bytes} bytes; at most ${MAX_VALUE_BYTES} are allowed`);
  }
  if (UNPRINTABLE.test(value)) {
    throw invalid(`a selector value is text without control characters; got ${quote(text)}`);
  }
  return { type, value };
}

function invalid(message: string): TrustplaneError {
  return new TrustplaneError('ERR_SELECTOR', message);
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
