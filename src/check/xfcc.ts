import { TrustplaneError } from '../spiffe/index.ts';

/** What one proxy says of the certificate it was shown. */
export interface XfccElement {
  /** URI SANs, in their order. */
  readonly uris: readonly string[];
  /** URL-encoded PEM of the leaf. */
  readonly certificate: string | undefined;
}

const limits = { length: 65_536, elements: 32, pairs: 32 } as const;
/** Up to the value. */
const KEY = /([A-Za-z]{1,16})=/y;
/** What has to be in quotes is not here. Envoy puts URIs in none, though they may have `=`. */
const PLAIN = /[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*/y;
/** A backslash takes away what the next character means; both stay: no URI and no certificate has one. */
const QUOTED = /"([\x20\x21\x23-\x5b\x5d-\x7e]*(?:\\[\x20-\x7e][\x20\x21\x23-\x5b\x5d-\x7e]*)*)"/y;

/**
 * Parses `x-forwarded-client-cert` as Envoy writes it: elements divided by `,`, the latest one last, of
 * pairs `Key=value` divided by `;`. The text is read whole or not at all: visible ASCII, at most 64 KiB,
 * 32 elements, 32 pairs each; what is left open by one who wrote before swallows nothing.
 * @throws TrustplaneError ERR_XFCC
 */
export function parseXfcc(text: string): readonly XfccElement[] {
  if (text.length > limits.length) throw refused(`${text.length} characters`, 0);
  const reader = new XfccReader(text);
  const elements: XfccElement[] = [];
  do {
    if (elements.length === limits.elements) throw refused('too many elements', reader.at);
    elements.push(readElement(reader));
  } while (reader.accept(','));
  if (!reader.isAtEnd) throw refused('what is no pair', reader.at);
  return elements;
}

function readElement(reader: XfccReader): XfccElement {
  const uris: string[] = [];
  let certificate: string | undefined;
  let pairs = 0;
  do {
    if (++pairs > limits.pairs) throw refused('too many pairs', reader.at);
    const key = reader.key();
    const value = reader.value();
    if (key === 'uri') uris.push(value);
    if (key !== 'cert') continue;
    if (certificate !== undefined) throw refused('a second Cert', reader.at);
    certificate = value;
  } while (reader.accept(';'));
  return { uris, certificate };
}

class XfccReader {
  readonly #text: string;
  at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get isAtEnd(): boolean {
    return this.at === this.#text.length;
  }

  /** In lower case. */
  key(): string {
    const [, key] = this.#match(KEY) ?? [];
    if (key === undefined) throw refused('no key', this.at);
    return key.toLowerCase();
  }

  value(): string {
    if (this.#text[this.at] !== '"') return this.#match(PLAIN)?.[0] ?? '';
    const [, value] = this.#match(QUOTED) ?? [];
    if (value === undefined) throw refused('a quote that is not closed', this.at);
    return value;
  }

  accept(character: string): boolean {
    // Lists of headers may be joined with a space behind the comma.
    if (this.#text[this.at] !== character) return false;
    this.at++;
    if (character === ',') this.#match(/ ?/y);
    return true;
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.#text) ?? undefined;
    if (match !== undefined) this.at += match[0].length;
    return match;
  }
}

/** Says nothing of the text itself, which somebody else wrote. */
function refused(what: string, at: number): TrustplaneError {
  return new TrustplaneError('ERR_XFCC', `expected x-forwarded-client-cert; got ${what} at ${at}`);
}
