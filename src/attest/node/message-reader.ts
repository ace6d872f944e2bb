import {
  decodeBase64,
  type ErrorCode,
  type JsonObject,
  type JsonValue,
  messageOf,
  parseJson,
  TrustplaneError,
} from '../../spiffe/index.ts';

/** Reads one kind of message of an attestor (JSON, bytes as base64), and names it in its refusals. */
export class MessageReader {
  readonly #code: ErrorCode;
  readonly #what: string;

  constructor(code: ErrorCode, what: string) {
    this.#code = code;
    this.#what = what;
  }

  refused(why: string): TrustplaneError {
    return new TrustplaneError(this.#code, `${this.#what} ${why}`);
  }

  /** An object; members that are not known are left alone. */
  document(bytes: Uint8Array, maxBytes: number): JsonObject {
    let value: JsonValue;
    try {
      value = parseJson(bytes, { maxBytes, maxDepth: 4 });
    } catch (error) {
      throw this.refused(`cannot be read: ${messageOf(error)}`);
    }
    if (!(value instanceof Map)) throw this.refused('is no JSON object');
    return value;
  }

  base64(value: JsonValue | undefined, name: string): Uint8Array {
    const bytes = typeof value === 'string' ? decodeBase64(value) : undefined;
    if (bytes === undefined) throw this.refused(`has no base64 in ${name}`);
    return bytes;
  }

  bytes(body: JsonObject, name: string, min: number, max: number): Uint8Array {
    const bytes = this.base64(body.get(name), name);
    if (bytes.length >= min && bytes.length <= max) return bytes;
    const expected = min === max ? `${min}` : `${min} to ${max}`;
    throw this.refused(`has ${bytes.length} bytes in ${name}; expected ${expected}`);
  }

  /** A text of 1 to `max` characters. */
  text(body: JsonObject, name: string, max: number): string {
    const text = body.get(name);
    if (typeof text !== 'string' || text === '') throw this.refused(`has no text in ${name}`);
    if (text.length <= max) return text;
    throw this.refused(`has ${text.length} characters in ${name}; expected at most ${max}`);
  }
}

/** Encodes a message; bytes are to be base64 already. */
export function encodeMessage(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
