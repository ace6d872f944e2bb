const UNRESERVED = /[A-Za-z0-9\-._~]/u;
const ESCAPE = /%(?:([0-9a-fA-F]{2})|)/gu;

/** Longer ones are no paths that policies are written for, and are dear to compare. */
const MAX_PATH = 8_192;

/** The path and the query of a request target. */
export interface Target {
  readonly path: string;
  /** Without `?`; empty if there is none. */
  readonly query: string;
}

export function splitTarget(target: string): Target {
  const at = target.indexOf('?');
  if (at === -1) return { path: target, query: '' };
  return { path: target.slice(0, at), query: target.slice(at + 1) };
}

/**
 * True for a path that all servers understand alike: absolute, visible ASCII, without `//`, dot
 * segments, `\`, `#`, escaped `/`, `\` or NUL, escapes of unreserved characters, broken escapes and,
 * unless allowed, `;`, and never a segment of parameters alone (RFC 3986 §6.2.2); of at most 8,192 characters.
 */
export function isCanonicalPath(path: string, allowMatrixParameters: boolean): boolean {
  if (path.length > MAX_PATH) return false;
  if (!path.startsWith('/') || !/^[\x21-\x7e]+$/u.test(path) || /[\\#?]|\/\//u.test(path))
    return false;
  if (path.includes(';') && !allowMatrixParameters) return false;
  if (path.includes('.') && /\/\.\.?(?:[/;]|$)/u.test(path)) return false;
  if (path.includes('/;')) return false;
  return !path.includes('%') || hasOnlyPlainEscapes(path);
}

function hasOnlyPlainEscapes(path: string): boolean {
  for (const [, hex] of path.matchAll(ESCAPE)) {
    if (hex === undefined) return false;
    const code = Number.parseInt(hex, 16);
    if (code === 0 || code === 0x2f || code === 0x5c) return false;
    if (UNRESERVED.test(String.fromCharCode(code))) return false;
  }
  return true;
}

/** As servers read it that take `;` and what follows it in a segment for parameters. */
export function withoutParameters(path: string): string {
  return path.replaceAll(/;[^/]*/gu, '');
}

/** Other letters have no case in a host: U+212A is no k. */
function asciiLower(text: string): string {
  return text.replaceAll(/[A-Z]/gu, (letter) => letter.toLowerCase());
}

/** Lower case, without port and final dot. */
export function canonicalHost(host: string): string {
  const lower = asciiLower(host).replace(/:\d*$/u, '');
  return lower.endsWith('.') ? lower.slice(0, -1) : lower;
}

/**
 * True for what all servers take for one host: labels of ASCII letters, digits, `-` and `_`, or an IPv6 address.
 * Not for two lines in one (`a,b`), a user (`x@a`), a second port or final dot, or escapes. `host`: made canonical.
 */
export function isCanonicalHost(host: string): boolean {
  return /^(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])$/u.test(host);
}

/** The values of each key of a query, decoded once. What is no escape stays as it is. */
export function parseQuery(query: string): ReadonlyMap<string, readonly string[]> {
  const values = new Map<string, string[]>();
  if (query === '') return values;
  for (const pair of query.split('&')) {
    const at = pair.indexOf('=');
    const [name, value] = at === -1 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
    const key = decoded(name);
    const known = values.get(key);
    if (known === undefined) values.set(key, [decoded(value)]);
    else known.push(decoded(value));
  }
  return values;
}

function decoded(text: string): string {
  const spaced = text.replaceAll('+', ' ');
  try {
    return decodeURIComponent(spaced);
  } catch {
    return spaced.replaceAll(/(?:%[0-9a-f]{2})+/giu, decodedEscapes);
  }
}

/** As most servers do where a text has broken escapes: U+FFFD for octets that are no UTF-8. */
function decodedEscapes(escapes: string): string {
  const octets = escapes
    .slice(1)
    .split('%')
    .map((hex) => Number.parseInt(hex, 16));
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(octets));
}
