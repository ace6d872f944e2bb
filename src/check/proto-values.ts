import { malformed, ProtoCursor, wireTypes } from './proto-cursor.ts';

/** Bytes that are not UTF-8 become U+FFFD, so that they match no text but that. */
const utf8 = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true });

/** The message in the present field. */
export function inner(cursor: ProtoCursor): ProtoCursor {
  requireBytes(cursor);
  return new ProtoCursor(cursor.bytes, cursor.from, cursor.to);
}

export function textOf(cursor: ProtoCursor): string {
  requireBytes(cursor);
  const { bytes, from, to } = cursor;
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from);
  return isAscii(bytes, from, to) ? text.toString('latin1') : utf8.decode(text);
}

export function numberOf(cursor: ProtoCursor): number {
  if (cursor.wireType === wireTypes.varint) return cursor.value;
  throw unexpected(cursor);
}

export function requireBytes(cursor: ProtoCursor): void {
  if (cursor.wireType !== wireTypes.bytes) throw unexpected(cursor);
}

/** The value of a field that may come once. */
export function only<Value>(before: Value | undefined, value: Value, cursor: ProtoCursor): Value {
  if (before === undefined) return value;
  throw malformed(`field ${cursor.field} twice`, cursor.from);
}

function unexpected({ field, wireType, from }: ProtoCursor): Error {
  return malformed(`field ${field} with the wire type ${wireType}`, from);
}

function isAscii(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if ((bytes[at] ?? 0x80) >= 0x80) return false;
  return true;
}
