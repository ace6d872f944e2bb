import { parseIpRange } from '../../src/authz/ip-range.ts';
import type { Matcher, MatchInput, Predicate, ValueMatch } from '../../src/authz/rbac/index.ts';
import type { SeededRandom } from '../programs/seeded-random.ts';

/** What requests have, and trees look for, of each input that is a text. */
export const texts = {
  'uri-san': ['spiffe://td/a', 'spiffe://td/a/b', 'spiffe://td/b', 'spiffe://td/a,spiffe://td/b'],
  path: ['/', '/v1', '/v1/x', '/v1/xy', '/v1/x/y', '/V1'],
  ':method': ['GET', 'POST', 'get'],
  ':authority': ['api.example', 'API.example', 'api.example:80'],
  'x-a': ['', 'p', 'p,q', 'q', 'P'],
} as const;
type TextInput = keyof typeof texts;

/** Of tokens, as a claim and as a member of one. */
export const claims = ['ops', 'dev', 'op'] as const;
export const claimsNamespace = 'envoy.filters.http.jwt_authn';

const textInputs: readonly (readonly [TextInput, MatchInput])[] = [
  ['uri-san', { kind: 'uri-san' }],
  ['path', { kind: 'path' }],
  [':method', { kind: 'header', name: ':method' }],
  [':authority', { kind: 'header', name: ':authority' }],
  ['x-a', { kind: 'header', name: 'x-a' }],
];
const ranges = ['127.0.0.1', '127.0.0.2/31', '127.0.0.0/8', '10.0.0.0/8', '::/0'].map(parseIpRange);

/** Trees of every kind of node, the same ones for the same numbers. */
export class RandomTrees {
  readonly #random: SeededRandom;
  #actions = 0;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  /** Of so many nodes below one another at most. */
  next(depth: number): Matcher {
    const kind = depth === 0 ? 0 : this.#random(8);
    if (kind === 0) return this.#action();
    return kind < 5 ? this.#map(depth - 1) : this.#list(depth - 1);
  }

  #action(): Matcher {
    const action = this.#random(2) === 0 ? 'ALLOW' : 'DENY';
    return { kind: 'action', name: `a${this.#actions++}`, action };
  }

  #otherwise(depth: number): Matcher | undefined {
    return this.#random(3) === 0 ? this.next(depth) : undefined;
  }

  #map(depth: number): Matcher {
    const [name, input] = this.#oneOf(textInputs);
    const by = this.#oneOf(['exact', 'prefix'] as const);
    const keys = this.#some(() => (by === 'exact' ? this.#oneOf(texts[name]) : this.#prefix(name)));
    const entries = new Map(keys.map((key) => [key, this.next(depth)]));
    return { kind: 'map', by, input, entries, otherwise: this.#otherwise(depth) };
  }

  #list(depth: number): Matcher {
    const entries = this.#some(() => ({ when: this.#predicate(2), then: this.next(depth) }));
    return { kind: 'list', entries, otherwise: this.#otherwise(depth) };
  }

  #predicate(depth: number): Predicate {
    switch (this.#random(depth === 0 ? 6 : 9)) {
      case 0:
        return { kind: 'no-client-certificate' };
      case 1:
        return this.#claim();
      case 2:
        return { kind: 'value', input: this.#address(), match: this.#ranges() };
      case 6:
        return { kind: 'not', of: this.#predicate(depth - 1) };
      case 7:
        return { kind: 'and', all: this.#some(() => this.#predicate(depth - 1)) };
      case 8:
        return { kind: 'or', all: this.#some(() => this.#predicate(depth - 1)) };
      default: {
        const [name, input] = this.#oneOf(textInputs);
        return { kind: 'value', input, match: this.#text(texts[name]) };
      }
    }
  }

  #claim(): Predicate {
    const isContained = this.#random(2) === 0;
    const name = this.#oneOf(['groups', 'role', 'none']);
    const path = ['jwt_payload', name];
    return {
      kind: 'claim',
      namespace: claimsNamespace,
      path,
      match: this.#text(claims),
      isContained,
    };
  }

  #address(): MatchInput {
    return { kind: this.#oneOf(['source-ip', 'destination-ip']) };
  }

  #ranges(): ValueMatch {
    return { kind: 'ip', ranges: this.#some(() => this.#oneOf(ranges)) };
  }

  #text(values: readonly string[]): ValueMatch {
    const text = this.#oneOf(values);
    const part = text.slice(0, this.#random(text.length + 1));
    switch (this.#random(5)) {
      case 0:
        return { kind: 'exact', text };
      case 1:
        return { kind: 'exact', text, ignoreCase: true };
      case 2:
        return part === '' ? { kind: 'exact', text } : { kind: 'prefix', text: part };
      case 3:
        return { kind: 'regex', regex: `${escape(part)}[^/,]*` };
      default:
        return { kind: 'regex', regex: `${escape(part)}|${escape(this.#oneOf(values))}` };
    }
  }

  #prefix(name: TextInput): string {
    const text = this.#oneOf(texts[name]);
    return text.slice(0, this.#random(text.length + 1));
  }

  #some<T>(make: () => T): T[] {
    return Array.from({ length: 1 + this.#random(3) }, make);
  }

  #oneOf<T>(values: readonly [T, ...T[]] | readonly T[]): T {
    const value = values[this.#random(values.length)];
    if (value === undefined) throw new Error('there is nothing to choose from');
    return value;
  }
}

function escape(text: string): string {
  return text.replace(/[.?]/gu, String.raw`\$&`);
}
