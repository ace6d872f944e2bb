import type { Type } from 'protobufjs';
import { TrustplaneError } from '../spiffe/index.ts';

/**
 * An encoded message in parts, so that what is large is copied once, when all is written. Encoded
 * messages that stand one after the other are one message with the fields of both.
 */
export interface Encoded {
  readonly parts: readonly Uint8Array[];
  readonly bytes: number;
}

/** The fields of `small`, encoded now, and then `large`. */
export function encodeMessage(type: Type, small: object, ...large: readonly Encoded[]): Encoded {
  const head = type.encode(small).finish();
  return {
    parts: [head, ...large.flatMap(({ parts }) => parts)],
    bytes: large.reduce((sum, { bytes }) => sum + bytes, head.length),
  };
}

/** A field of the type that holds an encoded message, or bytes. @throws TrustplaneError ERR_INTERNAL if there is none */
export function encodeField(type: Type, name: string, content: Encoded): Encoded {
  const id = type.fields[name]?.id;
  if (id === undefined) {
    throw new TrustplaneError('ERR_INTERNAL', `${type.name} has no field ${name}`);
  }
  const head = Uint8Array.from([...varint(id * 8 + LENGTH_DELIMITED), ...varint(content.bytes)]);
  return { parts: [head, ...content.parts], bytes: head.length + content.bytes };
}

export function toBuffer({ parts, bytes }: Encoded): Buffer {
  return Buffer.concat(parts, bytes);
}

const LENGTH_DELIMITED = 2;

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) + 128);
  }
}
