import type { ConfigNode } from './config-node.ts';

/** A trust domain that is closed by a slash, and folders below it. */
const CLOSED_PREFIX = /^spiffe:\/\/[^/]+\/(?:.*\/)?$/u;

/** Whether a StringMatcher that is to match SPIFFE IDs matches those of others too. */
export function isOpenId(matcher: ConfigNode): boolean {
  const prefix = matcher.text('prefix');
  if (prefix !== undefined) return 'spiffe://'.startsWith(prefix) || isOpenPrefix(prefix);
  if (matcher.get('suffix') !== undefined || matcher.get('contains') !== undefined) return true;
  const regex = matcher.text('safe_regex', 'regex');
  return regex !== undefined && /^\^?(?:\(\?:)?(?:spiffe:\/\/)?\.[*+]/u.test(regex);
}

function isOpenPrefix(prefix: string): boolean {
  return prefix.startsWith('spiffe://') && !CLOSED_PREFIX.test(prefix);
}

/** Whether a StringMatcher can match no SPIFFE ID: a DNS name, a subject. */
export function isForeignName(matcher: ConfigNode): boolean {
  const text = matcher.text('exact') ?? matcher.text('prefix');
  return text !== undefined && !text.startsWith('spiffe:') && !'spiffe:'.startsWith(text);
}
