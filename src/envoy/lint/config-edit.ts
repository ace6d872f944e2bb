import type { ConfigNode, Scalar } from './config-node.ts';

/** What is written: a scalar, or maps around one. */
export type Written = Scalar | { readonly [key: string]: Written };

/** A change of a text: what stands from `start` to `end` becomes `text`. */
export interface ConfigEdit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
  /** Where a field is added: two of one file cannot both add the same. */
  readonly key?: string;
}

/** Sets the field down there to `value`; undefined where the place cannot be written by itself. */
export function setField(
  map: ConfigNode,
  names: readonly string[],
  value: Written,
): ConfigEdit | undefined {
  const [name, ...rest] = names;
  if (name === undefined || !map.isMap) return undefined;
  const known = map.members.find(({ key }) => key === name) ?? findByName(map, name);
  if (known === undefined) return insert(map, name, nest(rest, value));
  if (rest.length > 0) return setField(known.value, rest, value);
  return replaceScalar(known.value, value);
}

/** A scalar becomes another. */
export function replaceScalar(node: ConfigNode, value: Written): ConfigEdit | undefined {
  const [start, end] = node.range;
  if (node.content.kind !== 'scalar' || end <= start) return undefined;
  return { start, end, text: write(value, node.source.isJson) };
}

/** The text with the changes; of those that meet the first counts, and the number of those made. */
export function applyEdits(
  text: string,
  edits: readonly ConfigEdit[],
): { readonly text: string; readonly count: number } {
  const seen = new Set<string>();
  const sorted = edits.toSorted((a, b) => a.start - b.start || a.end - b.end);
  let [out, at, count] = ['', 0, 0];
  for (const { start, end, text: written, key } of sorted) {
    const place = key === undefined ? `${start}` : `${start} ${key}`;
    if (start < at || seen.has(place)) continue;
    seen.add(place);
    out += text.slice(at, start) + written;
    at = end;
    count++;
  }
  return { text: out + text.slice(at), count };
}

function findByName(map: ConfigNode, name: string): { value: ConfigNode } | undefined {
  const value = map.get(name);
  return value === undefined ? undefined : { value };
}

function nest(names: readonly string[], value: Written): Written {
  return names.reduceRight<Written>((inner, name) => ({ [name]: inner }), value);
}

function insert(map: ConfigNode, key: string, value: Written): ConfigEdit | undefined {
  const { content, source, range } = map;
  if (content.kind !== 'map') return undefined;
  const { isFlow, firstKey, lineAfter } = content.form;
  const pair = `${write(key, source.isJson)}: ${write(value, source.isJson)}`;
  if (isFlow) {
    const at = range[0] + 1;
    const text = firstKey === undefined ? ` ${pair} ` : ` ${pair},`;
    return { start: at, end: at, text, key };
  }
  if (firstKey === undefined) return undefined;
  const indent = ' '.repeat(firstKey - source.text.lastIndexOf('\n', firstKey - 1) - 1);
  const line = lineAfter === undefined ? -1 : source.text.indexOf('\n', lineAfter);
  return line === -1
    ? { start: firstKey, end: firstKey, text: `${pair}\n${indent}`, key }
    : { start: line, end: line, text: `\n${indent}${pair}`, key };
}

function write(value: Written, isJson: boolean): string {
  if (isJson) return JSON.stringify(value);
  if (typeof value === 'string')
    return /^[A-Za-z][\w.:/-]*$|^\d[\d.]*s$|^\d+(?:\.\d+){3}$/u.test(value)
      ? value
      : JSON.stringify(value);
  if (value === null || typeof value !== 'object') return String(value);
  const pairs = Object.entries(value).map(([key, one]) => `${key}: ${write(one, false)}`);
  return `{ ${pairs.join(', ')} }`;
}
