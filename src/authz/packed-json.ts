import { Pattern, type Separator } from './pattern.ts';
import type { Policy } from './policy.ts';

const TAG = '~';
const PLAIN = '~';
const separators: Readonly<Record<string, Separator>> = { '/': '/', '.': '.', ' ': '' };

/** JSON with the patterns in it marked; a text that looks like one is marked as well. */
export function packJson(value: object): string {
  return JSON.stringify(packed(value));
}

/** What `packJson` was given, in a copy. */
export function unpackJson<T extends object>(json: string): T {
  const value: T = JSON.parse(json);
  unpackMembers(value);
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

function unpackMembers(holder: object): void {
  for (const [key, member] of Object.entries(holder))
    if (typeof member === 'string') {
      if (member.startsWith(TAG)) Reflect.set(holder, key, unpacked(member));
    } else if (typeof member === 'object' && member !== null) unpackMembers(member);
}

function unpacked(marked: string): unknown {
  const text = marked.slice(2);
  const separator = separators[marked.charAt(1)];
  return separator === undefined ? text : Pattern.parse(text, separator);
}
