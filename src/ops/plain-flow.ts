const KEY = /(?:([A-Za-z_][\w.-]{0,99})|"([^"\\\n]{1,100})"):/y;
const QUOTED = /"([^"\\\n]*)"|'([^'\n]*)'/y;
/** In brackets; without what may mean something there. */
const FLOW_TEXT = /[A-Za-z0-9/$_](?:[\w/$.*@~+=;()-]|:(?=[\w/])| (?=[\w/$]))*/y;
const INTEGER = /^(?:0|[1-9]\d{0,14})$/u;

export const MAX_PLAIN_DEPTH = 40;

export type Members = Record<string, unknown>;

/** What is read is not plainly written, or wrong. */
export class NotPlain extends Error {}

/** What is in brackets or in quotes. */
export class FlowReader {
  readonly #text: string;
  readonly #space: RegExp;
  at: number;

  constructor(text: string, at: number, space: RegExp) {
    this.#text = text;
    this.#space = space;
    this.at = at;
  }

  skip(): void {
    const { lastIndex } = matchAt(this.#space, this.#text, this.at);
    this.at = lastIndex;
  }

  value(depth: number): unknown {
    if (depth > MAX_PLAIN_DEPTH) throw new NotPlain();
    const first = this.#text[this.at];
    if (first === '{') return this.#mapping(depth + 1);
    if (first === '[') return this.#list(depth + 1);
    const { match, lastIndex } = matchAt(
      first === '"' || first === "'" ? QUOTED : FLOW_TEXT,
      this.#text,
      this.at,
    );
    if (match === null) throw new NotPlain();
    this.at = lastIndex;
    return match[1] ?? match[2] ?? plainValue(match[0]);
  }

  #mapping(depth: number): Members {
    const members: Members = {};
    this.#members('}', () => {
      const key = keyAt(this.#text, this.at);
      if (key === undefined) throw new NotPlain();
      this.at = key.end;
      this.skip();
      if (this.at === key.end && !key.isQuoted) throw new NotPlain();
      addMember(members, key.name, this.value(depth));
    });
    return members;
  }

  #list(depth: number): unknown[] {
    const items: unknown[] = [];
    this.#members(']', () => void items.push(this.value(depth)));
    return items;
  }

  #members(end: string, read: () => void): void {
    this.at++;
    this.skip();
    if (this.#take(end)) return;
    do {
      this.skip();
      read();
      this.skip();
    } while (this.#take(','));
    if (!this.#take(end)) throw new NotPlain();
  }

  #take(character: string): boolean {
    if (this.#text[this.at] !== character) return false;
    this.at++;
    return true;
  }
}

/** A text without quotes. */
export function plainValue(text: string): string | number | boolean {
  const first = text[0] ?? '';
  if (first >= '0' && first <= '9') {
    if (INTEGER.test(text)) return Number(text);
    // Nothing that is a number has one of these.
    if (/[/:]/u.test(text)) return text;
    throw new NotPlain();
  }
  if (text === 'true' || text === 'false') return text === 'true';
  if (!/^[A-Za-z/$_]/u.test(text) || /^(?:true|false|null)$/iu.test(text)) throw new NotPlain();
  return text;
}

export function keyAt(
  text: string,
  at: number,
): { readonly name: string; readonly end: number; readonly isQuoted: boolean } | undefined {
  const { match, lastIndex } = matchAt(KEY, text, at);
  if (match === null) return undefined;
  const name = match[1] ?? match[2] ?? '';
  return { name, end: lastIndex, isQuoted: match[2] !== undefined };
}

export function addMember(members: Members, key: string, value: unknown): void {
  const isOdd = key === '<<' || key === '__proto__' || /^(?:true|false|null)$/iu.test(key);
  if (isOdd || Object.hasOwn(members, key)) throw new NotPlain();
  members[key] = value;
}

export function matchAt(
  pattern: RegExp,
  text: string,
  at: number,
): { readonly match: RegExpExecArray | null; readonly lastIndex: number } {
  pattern.lastIndex = at;
  const match = pattern.exec(text);
  return { match, lastIndex: pattern.lastIndex };
}
