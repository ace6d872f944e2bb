import { z } from 'zod';

/** One option of the configuration file, as its JSON Schema tells. */
interface ConfigOption {
  /** Such as `['server', 'ca', 'ttl']`. */
  readonly path: readonly string[];
  readonly meaning: string;
  /** What may be written, for people. */
  readonly form: string;
  /** What holds where the file says nothing; undefined: the option is off. */
  readonly standard: string | number | boolean | undefined;
  readonly example: string | undefined;
  /** It is of a section that cannot stand by its defaults: something in it has to be said. */
  readonly isOptional: boolean;
  /** A running process takes up a change. */
  readonly isReloadable: boolean;
}

const scalar = z.union([z.string(), z.number(), z.boolean()]);

/** The part of JSON Schema that the configuration's uses. */
const node = z.object({
  type: z.string().optional(),
  description: z.string().optional(),
  default: z.union([scalar, z.array(z.unknown())]).optional(),
  examples: z.array(z.union([scalar, z.array(z.unknown())])).optional(),
  const: scalar.optional(),
  get anyOf() {
    return z.array(node).optional();
  },
  reloadable: z.boolean().optional(),
  enum: z.array(z.string()).optional(),
  minLength: z.number().optional(),
  maxLength: z.number().optional(),
  minimum: z.number().optional(),
  $comment: z.string().optional(),
  required: z.array(z.string()).optional(),
  get items() {
    return node.optional();
  },
  get properties() {
    return z.record(z.string(), node).optional();
  },
});
type SchemaNode = z.infer<typeof node>;

/** A Markdown table of all options. */
export function formatOptionTable(schema: object): string {
  const rows = findOptions(node.parse(schema)).map(
    ({ path, form, standard, isReloadable, meaning }) =>
      `| \`${path.join('.')}\` | ${form} | ${standard === undefined ? 'off' : `\`${standard}\``} | ${isReloadable ? 'reload' : 'start'} | ${meaning.replaceAll('<', '&lt;')} |`,
  );
  const head = ['| option | value | default | taken up at | meaning |', '|---|---|---|---|---|'];
  return [...head, ...rows, ''].join('\n');
}

/** A configuration file that says every default; options that are off are commented out. */
export function formatExampleFile(schema: object): string {
  const lines = [
    '# yaml-language-server: $schema=config.schema.json',
    '#',
    '# Every option of `trustplane up` and `trustplane server run` with its default for root: a file',
    '# (--config FILE) need not say more than what differs. Check yours with `trustplane config check FILE`.',
    '# Written by `npm run reference` from src/app/config-schema.ts.',
  ];
  const all = findOptions(node.parse(schema));
  const options = all.filter(({ path }) => !path.some((name) => name.endsWith('[]')));
  let section: readonly string[] = [];
  for (const option of options) {
    const parents = option.path.slice(0, -1);
    const known = parents.findIndex((name, depth) => section[depth] !== name);
    const opened = known < 0 ? [] : parents.slice(known).map((_, index) => known + index);
    const headings = opened.map((depth) => formatHeading(parents.slice(0, depth + 1), options));
    lines.push('', ...headings, ...formatOption(option));
    section = parents;
  }
  return `${lines.join('\n')}\n`;
}

/** A section with nothing in it would be refused, so one whose options are all off is a comment too. */
function formatHeading(section: readonly string[], options: readonly ConfigOption[]): string {
  const isIn = ({ path }: ConfigOption): boolean => section.every((name, at) => path[at] === name);
  const isOn = options.some((option) => isIn(option) && isSaid(option));
  return `${'  '.repeat(section.length - 1)}${isOn ? '' : '#'}${section.at(-1)}:`;
}

/** The example file sets it. */
function isSaid({ standard, isOptional }: ConfigOption): boolean {
  return standard !== undefined && !isOptional;
}

function formatOption(option: ConfigOption): string[] {
  const { path, meaning, form, standard, example } = option;
  const indent = '  '.repeat(path.length - 1);
  const text = [...wrap(meaning, 96 - indent.length), `Value: ${form}.`].map((line) => `# ${line}`);
  const value = `${isSaid(option) ? '' : '#'}${path.at(-1)}: ${standard ?? example ?? ''}`;
  return [...text, value].map((line) => `${indent}${line}`);
}

function findOptions(
  schema: SchemaNode,
  path: readonly string[] = [],
  isWithin = false,
): ConfigOption[] {
  const isOptional = isWithin || (schema.required ?? []).length > 0;
  return Object.entries(schema.properties ?? {}).flatMap(([name, inner]) => {
    const here = [...path, name];
    if (inner.properties !== undefined) return findOptions(inner, here, isOptional);
    if (inner.description === undefined) throw new Error(`${here.join('.')} has no description`);
    const { description: meaning, default: usual, examples } = inner;
    const [example] = (examples ?? []).map((value) =>
      Array.isArray(value) ? formatList(value) : String(value),
    );
    const standard = Array.isArray(usual) ? formatList(usual) : usual;
    const isReloadable = inner.reloadable === true;
    const form = formOf(inner);
    const option = { path: here, meaning, form, standard, example, isOptional, isReloadable };
    return [option, ...findItemOptions(inner, here)];
  });
}

/** Of what a list holds, such as `federation.relationships[].trustDomain`; they are taken up as the list is. */
function findItemOptions({ items, reloadable }: SchemaNode, path: readonly string[]) {
  if (items?.properties === undefined) return [];
  const within = [...path.slice(0, -1), `${path.at(-1)}[]`];
  return findOptions(items, within).map((option) => ({
    ...option,
    isReloadable: reloadable === true,
  }));
}

/** As YAML writes it in one line. */
function formatList(values: readonly unknown[]): string {
  const items = values.map((value) =>
    typeof value === 'object' && value !== null
      ? `{ ${Object.entries(value)
          .map(([name, inner]) => `${name}: ${inner}`)
          .join(', ')} }`
      : asScalar(value),
  );
  return `[${items.join(', ')}]`;
}

/** Text that would be read as a number stands in quotes. */
function asScalar(value: unknown): string {
  return typeof value === 'string' && /^\d+$/u.test(value) ? `'${value}'` : String(value);
}

function formOf(inner: SchemaNode): string {
  if (inner.$comment !== undefined) return inner.$comment;
  if (inner.enum !== undefined) return inner.enum.join(', ');
  if (inner.const !== undefined) return String(inner.const);
  if (inner.anyOf !== undefined) return inner.anyOf.map(formOf).join(', ');
  if (inner.items?.properties !== undefined) return 'list';
  if (inner.items !== undefined) return `list of ${formOf(inner.items)}`;
  if (inner.type === 'boolean') return 'true, false';
  if (inner.type === 'number') return `number from ${inner.minimum}`;
  if (inner.type === 'integer') return `whole number from ${inner.minimum}`;
  if (inner.minLength === undefined) return 'text';
  return `text of ${inner.minLength} to ${inner.maxLength} characters`;
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
