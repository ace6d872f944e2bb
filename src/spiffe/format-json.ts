/** What `formatJson` writes: also plain objects; members that are undefined are left out. */
export type WritableJson =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly WritableJson[]
  | ReadonlyMap<string, WritableJson | undefined>
  | { readonly [name: string]: WritableJson | undefined };

/** The JSON text of a value, compact or indented by `indent` spaces; bigints are written as integers. */
export function formatJson(value: WritableJson, indent: number = 0, level: number = 0): string {
  if (typeof value === 'bigint') return value.toString();
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const layout = { indent, level };
  if (isArray(value)) {
    return brackets(
      '[',
      value.map((item) => formatJson(item, indent, level + 1)),
      ']',
      layout,
    );
  }
  const colon = indent === 0 ? ':' : ': ';
  const members: string[] = [];
  for (const [name, member] of value instanceof Map ? value : Object.entries(value)) {
    if (member === undefined) continue;
    members.push(JSON.stringify(name) + colon + formatJson(member, indent, level + 1));
  }
  return brackets('{', members, '}', layout);
}

/** `Array.isArray` does not narrow readonly arrays. */
function isArray(value: object): value is readonly WritableJson[] {
  return Array.isArray(value);
}

function brackets(
  open: string,
  items: readonly string[],
  close: string,
  layout: { readonly indent: number; readonly level: number },
): string {
  if (items.length === 0) return open + close;
  if (layout.indent === 0) return open + items.join(',') + close;
  const pad = `\n${' '.repeat(layout.indent * layout.level)}`;
  const inner = pad + ' '.repeat(layout.indent);
  return open + inner + items.join(`,${inner}`) + pad + close;
}
