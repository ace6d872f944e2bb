import type * as Yaml from 'yaml';
import { type Position, refuseYamlDepth, yaml } from '../../ops/index.ts';
import { TrustplaneError } from '../../spiffe/index.ts';
import {
  type ConfigContent,
  ConfigNode,
  type ConfigSource,
  type MapForm,
  type Scalar,
} from './config-node.ts';

/** The most that is read of one configuration. */
export const maxConfigBytes = 1_048_576;
const MAX_DEPTH = 200;
/** With what aliases stand for. */
const MAX_VALUES = 200_000;

type Path = readonly (string | number)[];

/**
 * Reads a configuration in YAML or JSON as Envoy does: anchors and aliases stand for the values they name, merge keys are
 * none. At most 1 MiB, and 200,000 values when aliases are followed.
 * @throws TrustplaneError ERR_YAML with file:line:column
 */
export function readConfig(text: string, file: string): ConfigNode {
  if (Buffer.byteLength(text) > maxConfigBytes)
    throw new TrustplaneError(
      'ERR_YAML',
      `${file}: has ${Buffer.byteLength(text)} bytes; at most ${maxConfigBytes} are read`,
    );
  refuseYamlDepth(text, file);
  const document = yaml().parseDocument(text, {
    // Looked for below: the library compares each key with all others.
    uniqueKeys: false,
    merge: false,
    schema: 'core',
    prettyErrors: false,
    logLevel: 'error',
  });
  const lines = [0, ...Array.from(text.matchAll(/\n/gu), ({ index }) => index + 1)];
  const source = { file, text, isJson: /^\s*[[{]/u.test(text), lines };
  const [problem] = document.errors;
  if (problem?.code === 'MULTIPLE_DOCS')
    refuse(source, problem.pos[0], 'a second document begins here; a file has one');
  if (problem !== undefined) refuse(source, problem.pos[0], problem.message);
  return new Reader(source).read(document.contents, []);
}

/** Where something stands; both count from 1. */
export function positionIn({ lines }: ConfigSource, offset: number): Position {
  let [low, high] = [0, lines.length];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((lines[middle] ?? 0) <= offset) low = middle;
    else high = middle;
  }
  return { line: low + 1, column: offset - (lines[low] ?? 0) + 1 };
}

function refuse(source: ConfigSource, offset: number, message: string): never {
  const { line, column } = positionIn(source, offset);
  throw new TrustplaneError('ERR_YAML', `${source.file}:${line}:${column}: ${message}`);
}

class Reader {
  readonly #source: ConfigSource;
  /** Those above in the text, by name; the last of a name counts. */
  readonly #anchors = new Map<string, Yaml.Node>();
  /** What is being read: an alias to it would never end. */
  readonly #open = new Set<Yaml.Node>();
  #count = 0;

  constructor(source: ConfigSource) {
    this.#source = source;
  }

  read(node: unknown, path: Path): ConfigNode {
    const lib = yaml();
    if (lib.isAlias(node)) return this.#readAlias(node, path);
    const at = lib.isNode(node) ? (node.range?.[0] ?? 0) : 0;
    if (++this.#count > MAX_VALUES)
      refuse(this.#source, at, `has over ${MAX_VALUES} values, with what aliases stand for`);
    if (path.length > MAX_DEPTH) refuse(this.#source, at, 'is nested too deeply');
    if (!lib.isMap(node) && !lib.isSeq(node) && !lib.isScalar(node))
      return this.#node(path, [at, at], { kind: 'scalar', value: null });
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, node);
    this.#open.add(node);
    const content = this.#contentOf(node, path);
    this.#open.delete(node);
    return this.#node(path, [at, node.range?.[1] ?? at], content);
  }

  #contentOf(node: Yaml.YAMLMap | Yaml.YAMLSeq | Yaml.Scalar, path: Path): ConfigContent {
    if (yaml().isMap(node)) return this.#readMap(node, path);
    if (yaml().isSeq(node))
      return {
        kind: 'list',
        items: node.items.map((item, index) => this.read(item, [...path, index])),
      };
    return { kind: 'scalar', value: isScalarValue(node.value) ? node.value : null };
  }

  #readAlias(node: Yaml.Alias, path: Path): ConfigNode {
    const at = node.range?.[0] ?? 0;
    const target = this.#anchors.get(node.source);
    if (target === undefined)
      return refuse(this.#source, at, `nothing above has the anchor ${node.source}`);
    if (this.#open.has(target))
      refuse(this.#source, at, `the alias ${node.source} stands for what it is part of`);
    return this.read(target, path);
  }

  #readMap(node: Yaml.YAMLMap, path: Path): ConfigContent {
    const seen = new Set<string>();
    const members = node.items.map(({ key, value }) => {
      const at = yaml().isNode(key) ? (key.range?.[0] ?? 0) : 0;
      if (!yaml().isScalar(key))
        return refuse(this.#source, at, 'a key must be a text, not a list or a map');
      const name = String(key.value);
      if (name === '<<') refuse(this.#source, at, 'Envoy does not read merge keys (<<)');
      if (seen.has(name)) refuse(this.#source, at, `the key ${name} stands here a second time`);
      seen.add(name);
      return { key: name, value: this.read(value, [...path, name]) };
    });
    return { kind: 'map', members, form: formOf(node, this.#source.text) };
  }

  #node(path: Path, range: readonly [number, number], content: ConfigContent): ConfigNode {
    return new ConfigNode(this.#source, path, range, content);
  }
}

function formOf(node: Yaml.YAMLMap, text: string): MapForm {
  const { isNode, isScalar } = yaml();
  const keys = node.items.map(({ key }) => (isNode(key) ? key.range?.[0] : undefined));
  const onOneLine = node.items.find(({ key, value }) => {
    if (!isNode(key) || !isScalar(value)) return false;
    const [start, end] = [key.range?.[0] ?? 0, value.range?.[1] ?? 0];
    return value.source !== '' && end > start && !text.slice(start, end).includes('\n');
  });
  const { value } = onOneLine ?? {};
  return {
    isFlow: node.flow === true,
    firstKey: keys[0],
    lineAfter: isScalar(value) ? value.range?.[1] : undefined,
  };
}

function isScalarValue(value: unknown): value is Scalar {
  return value === null || ['string', 'number', 'boolean'].includes(typeof value);
}
