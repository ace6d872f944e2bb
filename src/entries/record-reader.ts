/**
 * Takes the members of a stored object one by one, each of the type that is expected of it.
 * Every method throws an Error that names the member.
 */
export class RecordReader {
  readonly #members: Readonly<Record<string, unknown>>;
  #left: number;

  constructor(value: unknown) {
    if (!isObject(value)) throw new Error('expected an object');
    this.#members = value;
    this.#left = Object.keys(value).length;
  }

  text(name: string): string {
    const value = this.#take(name);
    if (typeof value === 'string') return value;
    throw unexpected(name, 'text');
  }

  optionalText(name: string): string | undefined {
    return this.#members[name] === undefined ? undefined : this.text(name);
  }

  texts(name: string): readonly string[] {
    const value = this.#take(name);
    if (isTexts(value)) return value;
    throw unexpected(name, 'a list of texts');
  }

  flag(name: string): boolean {
    const value = this.#take(name);
    if (typeof value === 'boolean') return value;
    throw unexpected(name, 'true or false');
  }

  count(name: string): number {
    const value = this.#take(name);
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
    throw unexpected(name, 'a whole number from 0');
  }

  optionalCount(name: string): number | undefined {
    return this.#members[name] === undefined ? undefined : this.count(name);
  }

  /** Every member has been taken once. */
  finish(): void {
    if (this.#left !== 0) throw new Error('it has members that are not known');
  }

  #take(name: string): unknown {
    this.#left--;
    return this.#members[name];
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function unexpected(name: string, expected: string): Error {
  return new Error(`${name}: expected ${expected}`);
}
