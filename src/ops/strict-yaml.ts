import type * as Yaml from 'yaml';
import { TrustplaneError } from '../spiffe/index.ts';
import { type Environment, expandVariables, VariableError } from './expand-variables.ts';
import { yaml } from './yaml-library.ts';

const MAX_BYTES = 1_048_576;
const MAX_DEPTH = 100;
/** Lists begun in lists with nothing between. */
const MAX_DASHES = 64;
/** Of a document, of an error between brackets, of a text that follows. */
const MARKS = new Set(['\x02', '\x18', '\x1f']);

/** Where something stands in a text; both count from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** A parsed YAML document that can say where each of its values stands. */
export interface LocatedYaml {
  readonly file: string;
  readonly value: unknown;
  /** The position of the value at `path`, or of its nearest ancestor. `key`: of the member's name. */
  position(path: readonly PropertyKey[], part?: 'key' | 'value'): Position;
  /** The variables in the value at `path`; none for most. */
  variablesAt(path: readonly PropertyKey[]): readonly string[];
}

/**
 * Parses one YAML 1.2 document strictly: no duplicate keys, aliases, merge keys, unknown tags or
 * second document; at most 1 MiB. With `env`, variables in values that are texts are replaced (see
 * `expandVariables`); a value without quotes is then read again, as a number, true or false if it is one.
 * `firstLine`: of the text in its file, from 1.
 * @throws TrustplaneError ERR_YAML with file:line:column
 */
export function parseStrictYaml(
  text: string,
  file: string,
  env?: Environment,
  firstLine = 1,
): LocatedYaml {
  if (Buffer.byteLength(text) > MAX_BYTES) {
    throw new TrustplaneError(
      'ERR_YAML',
      `${file}: has ${Buffer.byteLength(text)} bytes; at most ${MAX_BYTES} are read`,
    );
  }
  const lines = new (yaml().LineCounter)();
  const document = parseOnce(text, { file, firstLine }, lines, {
    // Looked for below: the library compares each key with all others.
    uniqueKeys: false,
    stringKeys: true,
    merge: false,
    schema: 'core',
    prettyErrors: false,
  });
  const at = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: line + firstLine - 1, column: col };
  };
  const refuse = (offset: number, message: string): never => {
    const { line, column } = at(offset);
    throw new TrustplaneError('ERR_YAML', `${file}:${line}:${column}: ${message}`);
  };
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem?.code === 'MULTIPLE_DOCS') {
    refuse(problem.pos[0], 'a second document begins here; a file has one');
  }
  if (/^%/mu.test(text) && document.directives?.yaml.explicit === true) {
    refuse(0, 'directives (%YAML, %TAG) are not allowed');
  }
  if (problem !== undefined) refuse(problem.pos[0], problem.message);
  yaml().visit(document, (_key, node) => {
    if (yaml().isAlias(node)) refuse(node.range?.[0] ?? 0, 'aliases (*name) are not allowed');
    if (yaml().isMap(node)) checkKeys(node, refuse);
  });
  const variables = env === undefined ? undefined : expandAll(document, env, refuse);
  return {
    file,
    value: document.toJS() as unknown,
    variablesAt: (path) => variables?.get(nodeAt(document.contents, path)) ?? [],
    position: (path, part = 'value') => at(offsetOf(document.contents, path, part)),
  };
}

function checkKeys(
  { items }: Yaml.YAMLMap,
  refuse: (offset: number, message: string) => never,
): void {
  const seen = new Set<string>();
  for (const { key } of items) {
    if (!yaml().isScalar(key)) continue;
    const offset = key.range?.[0] ?? 0;
    const name = String(key.value);
    if (name === '<<') refuse(offset, 'merge keys (<<) are not allowed');
    if (name === '__proto__') refuse(offset, 'the key __proto__ is not allowed');
    if (seen.has(name)) refuse(offset, `the key ${name} stands here a second time`);
    seen.add(name);
  }
}

/** Which file a text is from, and at which of its lines it begins. */
interface Place {
  readonly file: string;
  readonly firstLine: number;
}

/** As the library's `parseDocument`, with one look at the text for its depth and its parts. */
function parseOnce(
  text: string,
  place: Place,
  lines: Yaml.LineCounter,
  options: Yaml.ParseOptions & Yaml.DocumentOptions & Yaml.SchemaOptions,
): Yaml.Document.Parsed {
  const parser = new (yaml().Parser)(lines.addNewLine);
  function* tokens(): Generator<Yaml.CST.Token> {
    lines.addNewLine(0);
    for (const lexeme of boundedLexemes(text, place)) yield* parser.next(lexeme);
    yield* parser.end();
  }
  const composer = new (yaml().Composer)(options);
  const [first, second] = composer.compose(tokens(), true, text.length);
  if (first === undefined) throw new TrustplaneError('ERR_YAML', `${place.file}: has no document`);
  if (second !== undefined) {
    const { YAMLParseError } = yaml();
    const [from, to] = second.range;
    first.errors.push(new YAMLParseError([from, to], 'MULTIPLE_DOCS', 'a second document'));
  }
  return first;
}

/** What is nested more deeply takes a parser seconds before it gives up. @throws TrustplaneError ERR_YAML */
export function refuseYamlDepth(text: string, file: string): void {
  for (const _ of boundedLexemes(text, { file, firstLine: 1 }));
}

function* boundedLexemes(text: string, { file, firstLine }: Place): Generator<string> {
  const { tokenType } = yaml().CST;
  let [offset, depth, dashes, isScalar] = [0, 0, 0, false];
  for (const lexeme of new (yaml().Lexer)().lex(text)) {
    const type = isScalar ? 'scalar' : tokenType(lexeme);
    if (type === 'flow-seq-start' || type === 'flow-map-start') depth++;
    else if (type === 'flow-seq-end' || type === 'flow-map-end') depth--;
    if (type === 'seq-item-ind' || type === 'explicit-key-ind') dashes++;
    else if (type !== 'space' && type !== 'newline') dashes = 0;
    if (depth > MAX_DEPTH || dashes > MAX_DASHES) {
      const { line, column } = positionOf(text, offset);
      throw new TrustplaneError(
        'ERR_YAML',
        `${file}:${line + firstLine - 1}:${column}: is nested too deeply`,
      );
    }
    // These marks of the lexer stand for nothing in the text.
    const isMark = !isScalar && MARKS.has(lexeme);
    isScalar = isMark && type === 'scalar';
    if (!isMark) offset += lexeme.length;
    yield lexeme;
  }
}

function positionOf(text: string, offset: number): Position {
  const before = text.slice(0, offset).split('\n');
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}

/** Replaces all variables and returns which value has which. */
function expandAll(
  document: Yaml.Document,
  env: Environment,
  refuse: (offset: number, message: string) => never,
): ReadonlyMap<unknown, readonly string[]> {
  const variables = new Map<unknown, readonly string[]>();
  yaml().visit(document, {
    Scalar(key, node) {
      if (key === 'key' || typeof node.value !== 'string') return;
      try {
        variables.set(node, expandScalar(node, env));
      } catch (error) {
        if (!(error instanceof VariableError)) throw error;
        const quote = node.type === 'PLAIN' ? 0 : 1;
        refuse((node.range?.[0] ?? 0) + quote + error.index, error.message);
      }
    },
  });
  return variables;
}

/** Replaces the variables of a scalar and returns their names. @throws VariableError */
function expandScalar(node: Yaml.Scalar, env: Environment): readonly string[] {
  const { text, names } = expandVariables(String(node.value), env);
  if (names.length > 0) node.value = node.type === 'PLAIN' ? readPlain(text) : text;
  else node.value = text;
  return names;
}

/** Numbers, true and false as YAML reads them; anything else stays the text that it is. */
function readPlain(text: string): string | number | boolean {
  if (!/^[\w.+-]+$/u.test(text)) return text;
  const value: unknown = yaml().parse(text, { schema: 'core' });
  return typeof value === 'number' || typeof value === 'boolean' ? value : text;
}

function nodeAt(root: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((node, step) => {
    if (yaml().isSeq(node)) return node.items[Number(step)];
    return yaml().isMap(node) ? node.get(String(step), true) : undefined;
  }, root);
}

function offsetOf(root: unknown, path: readonly PropertyKey[], part: 'key' | 'value'): number {
  let node = root;
  let offset = yaml().isNode(root) ? (root.range?.[0] ?? 0) : 0;
  for (const [depth, step] of path.entries()) {
    if (yaml().isSeq(node)) {
      node = node.items[Number(step)];
    } else if (yaml().isMap(node)) {
      const pair = node.items.find(
        (item) => yaml().isScalar(item.key) && String(item.key.value) === String(step),
      );
      if (pair === undefined) return offset;
      const last = depth === path.length - 1;
      node = last && part === 'key' ? pair.key : (pair.value ?? pair.key);
    } else {
      return offset;
    }
    if (!yaml().isNode(node)) return offset;
    offset = node.range?.[0] ?? offset;
  }
  return offset;
}
