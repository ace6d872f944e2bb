import { wireTypes } from './proto-cursor.ts';

/** A length-delimited field: text, bytes or a message of fields. Empty ones are written too. */
export function writeField(field: number, content: string | readonly Uint8Array[]): Buffer {
  const body = typeof content === 'string' ? Buffer.from(content) : Buffer.concat(content);
  const head = [...varint(field * 8 + wireTypes.bytes), ...varint(body.length)];
  return Buffer.concat([Buffer.from(head), body]);
}

/** An unsigned number, enum or bool; 0 is written too. */
export function writeNumber(field: number, value: number): Buffer {
  return Buffer.from([...varint(field * 8 + wireTypes.varint), ...varint(value)]);
}

function varint(value: number): number[] {
  const octets: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) octets.push((rest % 128) | 0x80);
  return [...octets, rest];
}
