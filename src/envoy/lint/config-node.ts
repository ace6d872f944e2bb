/** Where a file is read from, for those who say where something stands. */
export interface ConfigSource {
  readonly file: string;
  readonly text: string;
  /** Whether it is JSON, and is to stay so. */
  readonly isJson: boolean;
  /** The offset of each line. */
  readonly lines: readonly number[];
}

/** How a map is written, for those who write into it. */
export interface MapForm {
  readonly isFlow: boolean;
  /** Where the first key begins; undefined where there is none. */
  readonly firstKey: number | undefined;
  /** Where a value ends that is a scalar on one line after its key: a place for another key. */
  readonly lineAfter: number | undefined;
}

export type Scalar = string | number | boolean | null;

/** Of a value: the members of a map, the items of a list, or a scalar. */
export type ConfigContent =
  | { readonly kind: 'map'; readonly members: readonly ConfigMember[]; readonly form: MapForm }
  | { readonly kind: 'list'; readonly items: readonly ConfigNode[] }
  | { readonly kind: 'scalar'; readonly value: Scalar };

export interface ConfigMember {
  readonly key: string;
  readonly value: ConfigNode;
}

/**
 * A value of a configuration that knows where it stands. Read as Envoy reads (proto3 JSON): fields by either of their
 * names, one value where a list may be, numbers and booleans as texts too. What has another type than is asked for
 * is as if it were absent, for Envoy refuses it.
 */
export class ConfigNode {
  readonly source: ConfigSource;
  /** As the file spells it. */
  readonly path: readonly (string | number)[];
  /** Of the value, in UTF-16 units. */
  readonly range: readonly [start: number, end: number];
  readonly content: ConfigContent;
  #byName: ReadonlyMap<string, ConfigNode> | undefined;

  constructor(
    source: ConfigSource,
    path: readonly (string | number)[],
    range: readonly [start: number, end: number],
    content: ConfigContent,
  ) {
    this.source = source;
    this.path = path;
    this.range = range;
    this.content = content;
  }

  get isMap(): boolean {
    return this.content.kind === 'map';
  }

  /** Whether it says nothing: null, as a key without a value is. */
  get isNull(): boolean {
    return this.content.kind === 'scalar' && this.content.value === null;
  }

  /** None unless it is a map. */
  get members(): readonly ConfigMember[] {
    return this.content.kind === 'map' ? this.content.members : [];
  }

  /** Of a list; what is none is a list of itself. */
  get items(): readonly ConfigNode[] {
    return this.content.kind === 'list' ? this.content.items : this.isNull ? [] : [this];
  }

  /** The field down there, by names with underscores; undefined where one is absent or null. */
  get(...names: readonly string[]): ConfigNode | undefined {
    const [first, ...rest] = names;
    return first === undefined ? this : this.#member(first)?.get(...rest);
  }

  /** The items of a field; none where it is absent. */
  list(...names: readonly string[]): readonly ConfigNode[] {
    return this.get(...names)?.items ?? [];
  }

  /** The text of a field, or of this. */
  text(...names: readonly string[]): string | undefined {
    const content = this.get(...names)?.content;
    return content?.kind === 'scalar' && typeof content.value === 'string'
      ? content.value
      : undefined;
  }

  /** Whether a field, or this, is true. */
  isTrue(...names: readonly string[]): boolean {
    const content = this.get(...names)?.content;
    return content?.kind === 'scalar' && (content.value === true || content.value === 'true');
  }

  number(...names: readonly string[]): number | undefined {
    const content = this.get(...names)?.content;
    if (content?.kind !== 'scalar') return undefined;
    const { value } = content;
    if (typeof value === 'number') return value;
    return typeof value === 'string' && /^-?\d{1,15}(?:\.\d{1,9})?$/u.test(value)
      ? Number(value)
      : undefined;
  }

  /** A duration such as 0.25s. */
  seconds(...names: readonly string[]): number | undefined {
    const text = this.text(...names);
    const match = /^(-?\d{1,15}(?:\.\d{1,9})?)s$/u.exec(text ?? '');
    return match === null ? undefined : Number(match[1]);
  }

  /** An enumeration's value by its name, where `names` lists those that begin at 0; Envoy reads it in any case. */
  choice(values: readonly string[], ...names: readonly string[]): string | undefined {
    const number = this.number(...names);
    return number === undefined ? this.text(...names)?.toUpperCase() : values[number];
  }

  /** The last part of the message type that it says it is, such as envoy.extensions.filters.http.rbac.v3.RBAC. */
  get typeName(): string | undefined {
    const url = this.text('@type');
    return url?.slice(url.lastIndexOf('/') + 1);
  }

  #member(name: string): ConfigNode | undefined {
    this.#byName ??= new Map(this.members.map(({ key, value }) => [fieldName(key), value]));
    const found = this.#byName.get(name);
    return found?.isNull === true ? undefined : found;
  }
}

/** failureModeAllow is failure_mode_allow too. */
export function fieldName(key: string): string {
  return /^[a-z]\w*$/u.test(key) ? key.replace(/[A-Z]/gu, (one) => `_${one.toLowerCase()}`) : key;
}
