import { malformed, type ProtoCursor, wireTypes } from './proto-cursor.ts';
import { inner, numberOf, only, textOf } from './proto-values.ts';

const MAX_DEPTH = 16;

/**
 * Parses a google.protobuf.Struct. A key twice, or 16 levels, are refused.
 * @throws TrustplaneError ERR_CHECK_REQUEST
 */
export function parseStruct(cursor: ProtoCursor, depth: number = 0): Record<string, unknown> {
  if (depth >= MAX_DEPTH) throw malformed(`${MAX_DEPTH} levels of values`, cursor.from);
  const fields = new Map<string, unknown>();
  while (cursor.next()) {
    if (cursor.field !== 1) continue;
    const [key, value] = parseField(inner(cursor), depth);
    if (fields.has(key)) throw malformed('a key of a struct twice', cursor.from);
    fields.set(key, value);
  }
  return Object.fromEntries(fields);
}

function parseField(entry: ProtoCursor, depth: number): readonly [string, unknown] {
  let key: string | undefined;
  let value: { readonly value: unknown } | undefined;
  while (entry.next()) {
    if (entry.field === 1) key = only(key, textOf(entry), entry);
    else if (entry.field === 2) {
      value = only(value, { value: parseValue(inner(entry), depth) }, entry);
    }
  }
  return [key ?? '', value?.value ?? null];
}

function parseValue(cursor: ProtoCursor, depth: number): unknown {
  let found: { readonly value: unknown } | undefined;
  while (cursor.next()) found = only(found, { value: parseKind(cursor, depth) }, cursor);
  return found?.value ?? null;
}

function parseKind(cursor: ProtoCursor, depth: number): unknown {
  switch (cursor.field) {
    case 1:
      numberOf(cursor);
      return null;
    case 2:
      return doubleOf(cursor);
    case 3:
      return textOf(cursor);
    case 4:
      return numberOf(cursor) !== 0;
    case 5:
      return parseStruct(inner(cursor), depth + 1);
    case 6:
      return parseList(inner(cursor), depth + 1);
    default:
      return null;
  }
}

function parseList(cursor: ProtoCursor, depth: number): readonly unknown[] {
  if (depth >= MAX_DEPTH) throw malformed(`${MAX_DEPTH} levels of values`, cursor.from);
  const values: unknown[] = [];
  while (cursor.next()) if (cursor.field === 1) values.push(parseValue(inner(cursor), depth));
  return values;
}

function doubleOf({ bytes, from, field, wireType }: ProtoCursor): number {
  if (wireType !== wireTypes.fixed64) {
    throw malformed(`field ${field} with the wire type ${wireType}`, from);
  }
  return new DataView(bytes.buffer, bytes.byteOffset + from, 8).getFloat64(0, true);
}
