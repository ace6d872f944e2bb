/**
 * Reads the data types of RFC 4251 §5 from a buffer, strictly: what is claimed has to be there, numbers
 * have one form, and nothing may follow the last.
 */
export class SshReader {
  readonly #bytes: Buffer;
  readonly #what: string;
  #offset = 0;

  /** `what` names it in errors. */
  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#what = what;
  }

  get isAtEnd(): boolean {
    return this.#offset === this.#bytes.length;
  }

  get offset(): number {
    return this.#offset;
  }

  uint32(name: string): number {
    return this.#take(4, name).readUInt32BE();
  }

  uint64(name: string): bigint {
    return this.#take(8, name).readBigUInt64BE();
  }

  /** `max`: bytes. */
  string(name: string, max: number): Buffer {
    const length = this.uint32(name);
    if (length > max) throw this.malformed(`${name} claims ${length} bytes; at most ${max}`);
    return this.#take(length, name);
  }

  /** UTF-8. */
  text(name: string, max: number): string {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
        this.string(name, max),
      );
    } catch (error) {
      if (error instanceof TypeError) throw this.malformed(`${name} is not UTF-8`);
      throw error;
    }
  }

  /** A number above 0 without leading zeros, big-endian. */
  positive(name: string, maxBytes: number): Buffer {
    const bytes = this.string(name, maxBytes + 1);
    const [first = 0, second = 0] = bytes;
    if (bytes.length === 0 || first >= 0x80) throw this.malformed(`${name} is not above 0`);
    const isPadded = first === 0;
    if (isPadded && second < 0x80) throw this.malformed(`${name} has a zero too many`);
    return isPadded ? bytes.subarray(1) : bytes;
  }

  /** Nothing is left. */
  finish(): void {
    const left = this.#bytes.length - this.#offset;
    if (left > 0) throw this.malformed(`${left} bytes follow its end`);
  }

  malformed(why: string): Error {
    return new Error(`${this.#what} is malformed: ${why}`);
  }

  #take(length: number, name: string): Buffer {
    const end = this.#offset + length;
    if (end > this.#bytes.length) throw this.malformed(`${name} is cut short`);
    const taken = this.#bytes.subarray(this.#offset, end);
    this.#offset = end;
    return taken;
  }
}

/** A string of RFC 4251 §5. */
export function sshString(value: Uint8Array | string): Buffer {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** A number above 0, as RFC 4251 §5 writes it. */
export function sshPositive(number: Uint8Array): Buffer {
  const first = number.findIndex((octet) => octet !== 0);
  const bare = number.subarray(first === -1 ? number.length : first);
  return sshString((bare[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), bare]) : bare);
}
