import { Pattern, type Separator } from './pattern.ts';
import type { Policy } from './policy.ts';

const TAG = '~';
const PLAIN = '~';
const separators: Readonly<Record<string, Separator>> = { '/': '/', '.': '.', ' ': '' };

/** JSON with the patterns in it marked; a text that looks like one is marked as well. */
export function packJson(value: object): string {
  return JSON.stringify(packed(value));
}

/** Of the type of what was packed, which whoever unpacks it knows. */
export type Unpacked = ReturnType<typeof JSON.parse>;

/** What `packJson` was given, in a copy. */
export function unpackJson(json: string): Unpacked {
  const value: Unpacked = JSON.parse(json);
  unpack(value);
  return value;
}

/** A policy as a text, which takes less room than the policy. */
export function packPolicy(policy: Policy): string {
  return packJson(policy);
}

export function unpackPolicy(packed: string): Policy {
  return unpackJson(packed);
}

function packed(value: unknown): unknown {
  if (typeof value === 'string') return value.startsWith(TAG) ? `${TAG}${PLAIN}${value}` : value;
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Pattern) return `${TAG}${value.separator || ' '}${value.text}`;
  if (Array.isArray(value)) return value.map(packed);
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, packed(member)]));
}

/** In place. */
function unpack(value: unknown): unknown {
  if (typeof value === 'string') return value.startsWith(TAG) ? unpacked(value) : value;
  if (Array.isArray(value)) unpackList(value);
  else if (isRecord(value)) for (const key in value) value[key] = unpack(value[key]);
  return value;
}

function unpackList(list: unknown[]): void {
  for (let at = 0; at < list.length; at++) list[at] = unpack(list[at]);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function unpacked(marked: string): unknown {
  const text = marked.slice(2);
  const separator = separators[marked.charAt(1)];
  return separator === undefined ? text : Pattern.restore(text, separator);
}
