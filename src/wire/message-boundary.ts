const PREFIX_BYTES = 5;

/** Follows the length-prefixed messages of one gRPC request through its chunks. */
export class MessageBoundary {
  readonly #prefix: Buffer = Buffer.alloc(PREFIX_BYTES);
  #prefixBytes = 0;
  #bytesLeft = 0;

  /** True after a chunk that ends with a message's last byte. */
  get isReached(): boolean {
    return this.#prefixBytes === 0;
  }

  take(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      at += this.#prefixBytes < PREFIX_BYTES ? this.#takePrefix(chunk, at) : this.#skip(chunk, at);
      if (this.#prefixBytes === PREFIX_BYTES && this.#bytesLeft === 0) this.#prefixBytes = 0;
    }
  }

  #takePrefix(chunk: Buffer, at: number): number {
    const taken = chunk.copy(this.#prefix, this.#prefixBytes, at);
    this.#prefixBytes += taken;
    if (this.#prefixBytes === PREFIX_BYTES) this.#bytesLeft = this.#prefix.readUInt32BE(1);
    return taken;
  }

  #skip(chunk: Buffer, at: number): number {
    const skipped = Math.min(chunk.length - at, this.#bytesLeft);
    this.#bytesLeft -= skipped;
    return skipped;
  }
}
