import { TrustplaneError } from './errors.ts';

/** A JSON object; a Map, so that no member name has a meaning of its own (`__proto__`). */
export type JsonObject = ReadonlyMap<string, JsonValue>;

/** A parsed JSON value. Integers beyond 2^53 - 1 are bigint. */
export type JsonValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly JsonValue[]
  | JsonObject;

/** Bounds of a document; defaults: 1 MiB, 32 levels. */
export interface JsonLimits {
  readonly maxBytes?: number;
  readonly maxDepth?: number;
}

const DEFAULT_MAX_BYTES = 1 << 20;
const DEFAULT_MAX_DEPTH = 32;
const MAX_NUMBER_LENGTH = 256;
const WHITESPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
const LONE_SURROGATE = /\p{Cs}/u;
const SPACE = 0x20;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const ESCAPES = new Map([
  ['"', '"'],
  ['\\', '\\'],
  ['/', '/'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
]);
const WORDS: readonly (readonly [string, JsonValue])[] = [
  ['true', true],
  ['false', false],
  ['null', null],
];

/**
 * Parses one JSON text (RFC 8259) more strictly than `JSON.parse`: duplicate member names, lone
 * surrogates, a byte order mark and bytes that are not UTF-8 are refused; large integers stay exact.
 * @throws TrustplaneError ERR_JSON, with line:column
 */
export function parseJson(input: Uint8Array | string, limits: JsonLimits = {}): JsonValue {
  const maxBytes = limits.maxBytes ?? DEFAULT_MAX_BYTES;
  const bytes = typeof input === 'string' ? Buffer.byteLength(input) : input.length;
  if (bytes > maxBytes) {
    throw new TrustplaneError(
      'ERR_JSON',
      `the JSON text has ${bytes} bytes; at most ${maxBytes} are allowed`,
    );
  }
  const text = typeof input === 'string' ? input : decodeUtf8(input);
  return new JsonScanner(text, limits.maxDepth ?? DEFAULT_MAX_DEPTH).document();
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new TrustplaneError('ERR_JSON', 'the JSON text is not UTF-8');
  }
}

class JsonScanner {
  readonly #text: string;
  readonly #maxDepth: number;
  #offset = 0;

  constructor(text: string, maxDepth: number) {
    this.#text = text;
    this.#maxDepth = maxDepth;
  }

  document(): JsonValue {
    const value = this.#value(0);
    this.#skipWhitespace();
    if (this.#offset < this.#text.length) throw this.#error('expected the end of the text');
    return value;
  }

  #value(depth: number): JsonValue {
    if (depth > this.#maxDepth) throw this.#error(`nested over ${this.#maxDepth} levels deep`);
    this.#skipWhitespace();
    switch (this.#text.charAt(this.#offset)) {
      case '{':
        return this.#object(depth);
      case '[':
        return this.#array(depth);
      case '"':
        return this.#string();
      default:
        return this.#scalar();
    }
  }

  #object(depth: number): JsonObject {
    const members = new Map<string, JsonValue>();
    this.#offset++;
    if (this.#accept('}')) return members;
    do {
      this.#skipWhitespace();
      const nameOffset = this.#offset;
      if (this.#text[nameOffset] !== '"') throw this.#error('expected a member name in quotes');
      const name = this.#string();
      if (members.has(name)) {
        throw this.#error(`duplicate member name ${JSON.stringify(name.slice(0, 80))}`, nameOffset);
      }
      if (!this.#accept(':')) throw this.#error('expected ":"');
      members.set(name, this.#value(depth + 1));
    } while (this.#accept(','));
    if (!this.#accept('}')) throw this.#error('expected "," or "}"');
    return members;
  }

  #array(depth: number): JsonValue[] {
    const items: JsonValue[] = [];
    this.#offset++;
    if (this.#accept(']')) return items;
    do items.push(this.#value(depth + 1));
    while (this.#accept(','));
    if (!this.#accept(']')) throw this.#error('expected "," or "]"');
    return items;
  }

  #string(): string {
    const start = this.#offset++;
    let value = '';
    for (let from = this.#offset; ; ) {
      const code = this.#text.charCodeAt(this.#offset);
      if (code >= SPACE && code !== QUOTE && code !== BACKSLASH) {
        this.#offset++;
        continue;
      }
      value += this.#text.slice(from, this.#offset);
      if (code === QUOTE) break;
      if (Number.isNaN(code)) throw this.#error('a string without closing quote', start);
      if (code !== BACKSLASH) throw this.#error('a control character in a string');
      value += this.#escape();
      from = this.#offset;
    }
    this.#offset++;
    if (LONE_SURROGATE.test(value)) throw this.#error('a string with a lone surrogate', start);
    return value;
  }

  #escape(): string {
    const letter = this.#text[this.#offset + 1];
    const simple = letter === undefined ? undefined : ESCAPES.get(letter);
    if (simple !== undefined) {
      this.#offset += 2;
      return simple;
    }
    const digits = this.#text.slice(this.#offset + 2, this.#offset + 6);
    if (letter !== 'u' || !/^[0-9a-fA-F]{4}$/.test(digits)) throw this.#error('unknown escape');
    this.#offset += 6;
    return String.fromCharCode(Number.parseInt(digits, 16));
  }

  #scalar(): JsonValue {
    for (const [word, value] of WORDS) {
      if (!this.#text.startsWith(word, this.#offset)) continue;
      this.#offset += word.length;
      return value;
    }
    return this.#number();
  }

  #number(): number | bigint {
    const start = this.#offset;
    const match = this.#match(NUMBER);
    if (match === undefined) throw this.#error('expected a JSON value');
    const [literal, fraction, exponent] = match;
    if (literal.length > MAX_NUMBER_LENGTH) {
      throw this.#error(`a number of more than ${MAX_NUMBER_LENGTH} characters`, start);
    }
    const value = Number(literal);
    const isIntegerLiteral = fraction === undefined && exponent === undefined;
    if (isIntegerLiteral) return Number.isSafeInteger(value) ? value : BigInt(literal);
    if (!Number.isFinite(value)) throw this.#error('a number out of range', start);
    return value;
  }

  /** Skips white space and, if it comes next, the character. */
  #accept(character: string): boolean {
    this.#skipWhitespace();
    if (this.#text[this.#offset] !== character) return false;
    this.#offset++;
    return true;
  }

  #skipWhitespace(): void {
    this.#match(WHITESPACE);
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#offset;
    const match = pattern.exec(this.#text) ?? undefined;
    if (match !== undefined) this.#offset += match[0].length;
    return match;
  }

  #error(why: string, offset: number = this.#offset): TrustplaneError {
    const before = this.#text.slice(0, offset);
    const lineStart = before.lastIndexOf('\n') + 1;
    const line = before.split('\n').length;
    return new TrustplaneError(
      'ERR_JSON',
      `malformed JSON at ${line}:${offset - lineStart + 1}: ${why}`,
    );
  }
}
