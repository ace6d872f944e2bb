import { createHash } from 'node:crypto';

/** A strong entity tag (RFC 9110, section 8.8.3): the same on every server that has the same bytes. */
export function buildEntityTag(body: Uint8Array): string {
  return `"${createHash('sha256').update(body).digest('base64url')}"`;
}

/** An entity tag at the start of the text, weak or strong, and what may separate it from the next. */
const LISTED = /^(?:W\/)?("[!\x23-\x7e\x80-\xff]*")[ \t]*(?:,[ \t,]*|$)/u;

/**
 * Whether If-None-Match (RFC 9110, section 13.1.2) names the tag, by weak comparison; `*` names every
 * one. What is malformed names none.
 * @param field of at most 8 KiB
 */
export function namesEntityTag(field: string | undefined, tag: string): boolean {
  if (field === undefined) return false;
  let rest = field.replace(/^[ \t,]+|[ \t]+$/gu, '');
  if (rest === '*') return true;
  let isNamed = false;
  while (rest !== '') {
    const listed = LISTED.exec(rest);
    if (listed === null) return false;
    isNamed ||= listed[1] === tag;
    rest = rest.slice(listed[0].length);
  }
  return isNamed;
}
