import type { JsonObject, JsonValue } from '../spiffe/index.ts';

/** Names with a meaning of their own in YAML, or in an object. */
const SPECIAL: ReadonlySet<string> = new Set(['<<', '__proto__']);

/** A JSON object as YAML reads it; undefined when there is something in it that YAML reads otherwise, or refuses. */
export function plainJson(value: JsonValue): object | undefined {
  try {
    return value instanceof Map ? objectOf(value) : undefined;
  } catch {
    return undefined;
  }
}

function objectOf(members: JsonObject): object {
  return Object.fromEntries(
    Array.from(members, ([name, value]) => {
      if (SPECIAL.has(name)) throw new Error(name);
      return [name, plain(value)];
    }),
  );
}

function plain(value: JsonValue): unknown {
  if (typeof value === 'bigint') throw new Error('an integer that is not exact');
  if (Array.isArray(value)) return value.map(plain);
  return value instanceof Map ? objectOf(value) : value;
}
