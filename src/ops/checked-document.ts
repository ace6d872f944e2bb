import type { z } from 'zod';
import { TrustplaneError } from '../spiffe/index.ts';
import type { LocatedYaml } from './strict-yaml.ts';

type Issue = z.core.$ZodIssue;

/** More problems are not told at once. */
const MAX_LINES = 200;

/**
 * Checks a document against a schema and returns its typed value.
 * @throws TrustplaneError ERR_CONFIG: the first 200 problems, each on a line of its own, as `file:line:column: path: message`
 */
export function checkDocument<S extends z.ZodType>(document: LocatedYaml, schema: S): z.output<S> {
  const result = schema.safeParse(document.value ?? {}, { error: describe });
  if (result.success) return result.data;
  throw new TrustplaneError(
    'ERR_CONFIG',
    result.error.issues
      .slice(0, MAX_LINES)
      .flatMap((issue) => lines(document, issue))
      .slice(0, MAX_LINES)
      .join('\n'),
  );
}

function lines(document: LocatedYaml, issue: Issue): string[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys
      .slice(0, MAX_LINES)
      .map((key) => line(document, [...issue.path, key], 'key', issue.message));
  }
  if (issue.code === 'invalid_union') {
    const meant = issue.errors.filter((issues) => !issues.some(isOtherType));
    const [only = []] = meant;
    if (meant.length === 1)
      return only.flatMap((inner) =>
        lines(document, { ...inner, path: [...issue.path, ...inner.path] }),
      );
  }
  const part = issue.code === 'invalid_key' ? 'key' : 'value';
  return [line(document, issue.path, part, withoutVariables(document, issue))];
}

/** Of a choice: the value is not even of the type. */
function isOtherType({ code, path }: Issue): boolean {
  return path.length === 0 && (code === 'invalid_type' || code === 'invalid_value');
}

/** What came from the environment may be a secret, and is not shown. */
function withoutVariables(document: LocatedYaml, { path, code, message }: Issue): string {
  const names = document.variablesAt(path).map((name) => `\${${name}}`);
  if (names.length === 0) return message;
  const expected = code === 'custom' ? 'expected another value' : message.split(/,? got /u)[0];
  return `${expected}, got one from ${names.join(', ')}`;
}

function line(
  document: LocatedYaml,
  path: readonly PropertyKey[],
  part: 'key' | 'value',
  message: string,
): string {
  const position = document.position(path, part);
  const name = path.length === 0 ? '' : `${path.map(String).join('.')}: `;
  return `${document.file}:${position.line}:${position.column}: ${name}${message}`;
}

function describe(issue: z.core.$ZodRawIssue): string | undefined {
  const got = show(issue.input);
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined
        ? 'is required'
        : `expected ${expectedOf(issue)}, got ${got}`;
    case 'unrecognized_keys':
      return `unknown key${knownKeys(issue.inst)}`;
    case 'invalid_value':
      return issue.input === undefined
        ? `is required: ${valuesOf(issue)}`
        : `expected ${valuesOf(issue)}, got ${got}`;
    case 'invalid_format':
      return `expected a text that matches ${issue.pattern ?? issue.format}, got ${got}`;
    case 'too_small':
      return `expected at least ${String(issue.minimum)}, got ${got}`;
    case 'too_big':
      return `expected at most ${String(issue.maximum)}, got ${got}`;
    case 'invalid_union':
      return issue.input === undefined ? 'is required' : `expected another form, got ${got}`;
    case 'invalid_key':
      return 'the name is not one that may stand here';
    default:
      return undefined;
  }
}

function valuesOf({ values }: z.core.$ZodRawIssue<z.core.$ZodIssueInvalidValue>): string {
  return values.map((value) => JSON.stringify(value)).join(' or ');
}

/** The form that the schema says, such as "duration, 1s to 1d"; else the type, as YAML calls it. */
function expectedOf({ expected, inst }: z.core.$ZodRawIssue<z.core.$ZodIssueInvalidType>): string {
  return formOf(inst) ?? yamlNames[expected] ?? expected;
}

/** Told by what it has: the library itself is loaded by those who have schemas. */
function formOf(schema: object = {}): string | undefined {
  if (!('meta' in schema) || typeof schema.meta !== 'function') return undefined;
  const meta: unknown = Reflect.apply(schema.meta, schema, []);
  const isTold = typeof meta === 'object' && meta !== null && '$comment' in meta;
  return isTold && typeof meta.$comment === 'string' ? meta.$comment : undefined;
}

const yamlNames: Readonly<Record<string, string | undefined>> = {
  string: 'a text',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping',
};

function knownKeys(schema: object = {}): string {
  const shape = 'shape' in schema ? schema.shape : undefined;
  return typeof shape === 'object' && shape !== null
    ? `; known here: ${Object.keys(shape).join(', ')}`
    : '';
}

function show(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'a mapping';
  return (JSON.stringify(value) ?? String(value)).slice(0, 80);
}
