import { wireTypes } from './proto-cursor.ts';

/** A length-delimited field: text, bytes or a message of fields. Empty ones are written too. */
export function writeField(field: number, content: string | readonly Uint8Array[]): Buffer {
  const tag = field * 8 + wireTypes.bytes;
  const length = typeof content === 'string' ? Buffer.byteLength(content) : lengthOf(content);
  const written = Buffer.allocUnsafe(sizeOf(tag) + sizeOf(length) + length);
  let at = putVarint(written, putVarint(written, 0, tag), length);
  if (typeof content === 'string') {
    written.write(content, at);
    return written;
  }
  for (const part of content) {
    written.set(part, at);
    at += part.length;
  }
  return written;
}

/** An unsigned number, enum or bool; 0 is written too. */
export function writeNumber(field: number, value: number): Buffer {
  const tag = field * 8 + wireTypes.varint;
  const written = Buffer.allocUnsafe(sizeOf(tag) + sizeOf(value));
  putVarint(written, putVarint(written, 0, tag), value);
  return written;
}

function lengthOf(parts: readonly Uint8Array[]): number {
  let length = 0;
  for (const part of parts) length += part.length;
  return length;
}

function sizeOf(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 128)) size++;
  return size;
}

/** Returns where it ends. */
function putVarint(target: Buffer, from: number, value: number): number {
  let at = from;
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) target[at++] = (rest % 128) | 0x80;
  target[at++] = rest;
  return at;
}
