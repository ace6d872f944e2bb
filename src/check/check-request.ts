import { malformed, ProtoCursor } from './proto-cursor.ts';
import { parseStruct } from './proto-struct.ts';
import { inner, numberOf, only, requireBytes, textOf } from './proto-values.ts';
import { RepeatedTexts } from './repeated-texts.ts';

/** What Envoy says of one side of the connection. */
export interface PeerAttributes {
  readonly ip: string | undefined;
  readonly port: number | undefined;
  /** Its URI SAN, else DNS SAN, else subject: text that others chose. */
  readonly principal: string | undefined;
  /** PEM of the leaf, URL-encoded. */
  readonly certificate: string | undefined;
}

/** What of a CheckRequest (envoy.service.auth.v3) rules can ask for. */
export interface CheckRequest {
  readonly source: PeerAttributes;
  readonly destination: PeerAttributes;
  /** Undefined for a connection, of which the network filter asks. */
  readonly http: HttpAttributes | undefined;
  /** Of the route: trusted. */
  readonly contextExtensions: ReadonlyMap<string, string>;
  /** By namespace. */
  readonly metadata: ReadonlyMap<string, Readonly<Record<string, unknown>>>;
}

/** Of callers, who come again. */
const certificates = new RepeatedTexts(4_096);
/** The context extension of a route that names its policies. */
export const POLICY_EXTENSION = 'trustplane.policy';
const limits = { headers: 2_000, extensions: 64, namespaces: 32 } as const;
const nobody: PeerAttributes = {
  ip: undefined,
  port: undefined,
  principal: undefined,
  certificate: undefined,
};
const noExtensions: ReadonlyMap<string, string> = new Map();
const noMetadata: CheckRequest['metadata'] = new Map();

/**
 * Parses what Envoy sends, and no more than rules ask for. A field that may come once and comes twice is
 * refused: readers do not agree on what that means. Text that is not UTF-8 gets U+FFFD in it.
 * @throws TrustplaneError ERR_CHECK_REQUEST
 */
export function parseCheckRequest(bytes: Uint8Array): CheckRequest {
  const cursor = new ProtoCursor(bytes);
  let attributes: ProtoCursor | undefined;
  while (cursor.next()) {
    if (cursor.field === 1) attributes = only(attributes, inner(cursor), cursor);
  }
  if (attributes === undefined) throw malformed('no attributes', bytes.length);
  return parseAttributes(attributes);
}

function parseAttributes(cursor: ProtoCursor): CheckRequest {
  let source: PeerAttributes | undefined;
  let destination: PeerAttributes | undefined;
  let request: ProtoCursor | undefined;
  let metadata: CheckRequest['metadata'] | undefined;
  let contextExtensions = noExtensions;
  while (cursor.next()) {
    switch (cursor.field) {
      case 1:
        source = only(source, parsePeer(inner(cursor)), cursor);
        break;
      case 2:
        destination = only(destination, parsePeer(inner(cursor)), cursor);
        break;
      case 4:
        request = only(request, inner(cursor), cursor);
        break;
      case 10:
        contextExtensions = withEntry(contextExtensions, cursor, limits.extensions, textOf);
        break;
      case 11:
        metadata = only(metadata, parseMetadata(inner(cursor)), cursor);
        break;
    }
  }
  return {
    source: source ?? nobody,
    destination: destination ?? nobody,
    http: request === undefined ? undefined : parseRequest(request),
    contextExtensions,
    metadata: metadata ?? noMetadata,
  };
}

function parsePeer(cursor: ProtoCursor): PeerAttributes {
  let address: SocketAddress | undefined;
  let principal: string | undefined;
  let certificate: string | undefined;
  while (cursor.next()) {
    if (cursor.field === 1) address = only(address, parseAddress(inner(cursor)), cursor);
    else if (cursor.field === 4) principal = only(principal, textOf(cursor), cursor);
    else if (cursor.field === 5) certificate = only(certificate, certificates.read(cursor), cursor);
  }
  return {
    ip: address?.ip,
    port: address?.port,
    principal: principal === '' ? undefined : principal,
    certificate: certificate === '' ? undefined : certificate,
  };
}

interface SocketAddress {
  readonly ip: string | undefined;
  readonly port: number | undefined;
}

/** A pipe or an internal listener has no IP address. */
function parseAddress(cursor: ProtoCursor): SocketAddress {
  let socket: ProtoCursor | undefined;
  while (cursor.next()) if (cursor.field === 1) socket = only(socket, inner(cursor), cursor);
  let ip: string | undefined;
  let port: number | undefined;
  while (socket?.next() === true) {
    if (socket.field === 2) ip = only(ip, textOf(socket), socket);
    else if (socket.field === 3) port = only(port, numberOf(socket), socket);
  }
  return { ip, port };
}

function parseRequest(cursor: ProtoCursor): HttpAttributes | undefined {
  let http: HttpAttributes | undefined;
  while (cursor.next()) {
    if (cursor.field === 2) http = only(http, new HttpAttributes(inner(cursor)), cursor);
  }
  return http;
}

function parseMetadata(cursor: ProtoCursor): CheckRequest['metadata'] {
  let namespaces = noMetadata;
  while (cursor.next()) {
    if (cursor.field === 1) namespaces = withEntry(namespaces, cursor, limits.namespaces, structOf);
  }
  return namespaces;
}

/** One entry of a map<string, …> more: field 1 is the key, field 2 the value. */
function withEntry<Value>(
  map: ReadonlyMap<string, Value>,
  cursor: ProtoCursor,
  max: number,
  valueOf: (cursor: ProtoCursor) => Value,
): ReadonlyMap<string, Value> {
  const entry = inner(cursor);
  let key: string | undefined;
  let value: Value | undefined;
  while (entry.next()) {
    if (entry.field === 1) key = only(key, textOf(entry), entry);
    else if (entry.field === 2) value = only(value, valueOf(entry), entry);
  }
  if (key === undefined || value === undefined) return map;
  if (map.has(key)) throw malformed('a key of a map twice', cursor.from);
  if (map.size >= max) throw malformed(`more than ${max} entries of a map`, cursor.from);
  return new Map([...map, [key, value]]);
}

/** The HTTP request that is checked. Its headers are read when they are asked for. */
export class HttpAttributes {
  readonly method: string;
  /** With its query. */
  readonly target: string;
  readonly host: string | undefined;
  /** Octets of a body came with the request. */
  readonly hasBody: boolean;
  readonly #bytes: Uint8Array;
  /** Lines are told apart. */
  readonly #hasLines: boolean;
  /** Where the entries of the headers begin and end, by turns. */
  readonly #entries: number[] = [];

  constructor(cursor: ProtoCursor) {
    this.#bytes = cursor.bytes;
    let method: string | undefined;
    let target: string | undefined;
    let host: string | undefined;
    let lines: ProtoCursor | undefined;
    let hasBody = false;
    while (cursor.next()) {
      if (cursor.field === 2) method = only(method, textOf(cursor), cursor);
      else if (cursor.field === 3) this.#addEntry(cursor, false);
      else if (cursor.field === 4) target = only(target, textOf(cursor), cursor);
      else if (cursor.field === 5) host = only(host, textOf(cursor), cursor);
      // The octets that came so far, and what of them the proxy passes on as text or as bytes.
      else if (cursor.field === 9) hasBody ||= numberOf(cursor) > 0;
      else if (cursor.field === 11 || cursor.field === 12) hasBody ||= cursor.to > cursor.from;
      else if (cursor.field === 13) lines = only(lines, inner(cursor), cursor);
    }
    // Where both are there, the lines are those that were not joined.
    this.#hasLines = lines !== undefined;
    if (lines !== undefined) this.#entries.length = 0;
    while (lines?.next() === true) if (lines.field === 1) this.#addEntry(lines, true);
    this.method = method ?? '';
    this.target = target ?? '';
    this.host = host === '' ? undefined : host;
    this.hasBody = hasBody;
  }

  /**
   * What a rule has to see of the lines with the name, which is in lower case. A proxy that does not tell
   * lines apart (no `encode_raw_headers`) joins them by commas, so of a value with commas each part counts
   * too. @throws TrustplaneError ERR_CHECK_REQUEST
   */
  headers(name: string): readonly string[] {
    const lines = this.lines(name);
    if (this.#hasLines || !lines.some((line) => line.includes(','))) return lines;
    return lines.flatMap((line) => [line, ...line.split(',').map((part) => part.trim())]);
  }

  /** The value of each line with the name, as the proxy tells it. @throws TrustplaneError ERR_CHECK_REQUEST */
  lines(name: string): readonly string[] {
    const found: string[] = [];
    for (let index = 0; index < this.#entries.length; index += 2) {
      const value = this.#valueAt(index, name);
      if (value !== undefined) found.push(value);
    }
    return found;
  }

  /** Tells where the name of each line lies, as it was sent. */
  visitNames(visit: (bytes: Uint8Array, from: number, to: number) => void): void {
    for (let index = 0; index < this.#entries.length; index += 2) {
      const from = this.#entries[index] ?? 0;
      const length = nameLengthAt(this.#bytes, from);
      if (length !== undefined) {
        visit(this.#bytes, from + 2, from + 2 + length);
        continue;
      }
      const entry = new ProtoCursor(this.#bytes, from, this.#entries[index + 1]);
      while (entry.next() && entry.field !== 1);
      if (entry.field === 1) visit(this.#bytes, entry.from, entry.to);
    }
  }

  #addEntry(cursor: ProtoCursor, isLine: boolean): void {
    requireBytes(cursor);
    requireEntry(cursor, isLine);
    if (this.#entries.length >= 2 * limits.headers) {
      throw malformed(`more than ${limits.headers} headers`, cursor.from);
    }
    this.#entries.push(cursor.from, cursor.to);
  }

  /** Of an entry of `headers` (key, value) or of `header_map` (key, value or raw_value). */
  #valueAt(index: number, name: string): string | undefined {
    const length = nameLengthAt(this.#bytes, this.#entries[index] ?? 0);
    if (length !== undefined && length !== name.length) return undefined;
    const entry = new ProtoCursor(this.#bytes, this.#entries[index], this.#entries[index + 1]);
    let isNamed = false;
    let value: string | undefined;
    while (entry.next()) {
      if (entry.field === 1) {
        requireBytes(entry);
        if (!isSameName(this.#bytes, entry.from, entry.to, name)) return undefined;
        isNamed = true;
      } else if (entry.field === 2 || entry.field === 3) {
        // An empty `value` beside a `raw_value` says nothing.
        value = value === undefined || value === '' ? textOf(entry) : value;
      }
    }
    return isNamed ? (value ?? '') : undefined;
  }
}

/**
 * An entry of headers is one name and at most one value; that of a line may be a `raw_value`. What is neither
 * is refused although nobody may ask for it: a rule must not miss a line that others read, nor see one that
 * they do not.
 */
function requireEntry({ bytes, from, to }: ProtoCursor, isLine: boolean): void {
  if (isUsualEntry(bytes, from, to, isLine)) return;
  const entry = new ProtoCursor(bytes, from, to);
  let name: true | undefined;
  let value: true | undefined;
  while (entry.next()) {
    if (entry.field > 3) continue;
    requireBytes(entry);
    if (entry.field === 1) name = only(name, true, entry);
    else if (entry.field === 2 || isLine) value = only(value, true, entry);
    else throw malformed('a raw value of a header that is no line', entry.from);
  }
  if (name === undefined) throw malformed('a header without a name', from);
}

/** As proxies write one: the name, then a value that ends the entry. Each length has one octet, or two. */
function isUsualEntry(bytes: Uint8Array, from: number, to: number, isLine: boolean): boolean {
  const nameLength = bytes[from + 1] ?? 0x80;
  if (bytes[from] !== 0x0a || nameLength >= 0x80) return false;
  const at = from + 2 + nameLength;
  const tag = bytes[at];
  if (at + 2 > to || (tag !== 0x12 && !(isLine && tag === 0x1a))) return at === to;
  const length = bytes[at + 1] ?? 0;
  if (length < 0x80) return at + 2 + length === to;
  const high = bytes[at + 2] ?? 0x80;
  return high < 0x80 && at + 3 + (length & 0x7f) + high * 128 === to;
}

/** Octets of the name of an entry that begins with one, as all but odd ones do, and needs no cursor; below 128. */
function nameLengthAt(bytes: Uint8Array, from: number): number | undefined {
  const length = bytes[from + 1] ?? 0x80;
  return bytes[from] === 0x0a && length < 0x80 ? length : undefined;
}

/** Names are compared in ASCII, whatever their case. */
export function isSameName(bytes: Uint8Array, from: number, to: number, name: string): boolean {
  if (to - from !== name.length) return false;
  for (let index = 0; index < name.length; index++) {
    const octet = bytes[from + index] ?? 0;
    const lower = octet >= 0x41 && octet <= 0x5a ? octet + 32 : octet;
    if (lower !== name.charCodeAt(index)) return false;
  }
  return true;
}

function structOf(cursor: ProtoCursor): Readonly<Record<string, unknown>> {
  return parseStruct(inner(cursor));
}
