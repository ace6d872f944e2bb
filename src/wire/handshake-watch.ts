import type { Clock, Timer } from '../spiffe/index.ts';

/** The client preface of HTTP/2 and an empty SETTINGS frame (RFC 9113, section 3.4). */
export const PREFACE_BYTES: number = 24 + 9;

/** What is watched. */
export interface Handshake {
  /** The peer has begun to speak, or is gone. */
  isOver(): boolean;
  expire(): void;
}

/**
 * Closes connections whose peer does not begin to speak. Two lists and one timer serve all of them:
 * a connection is looked at once, when it is between one and two timeouts old.
 */
export class HandshakeWatch {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  #young: Handshake[] = [];
  #old: Handshake[] = [];
  #timer: Timer | undefined;

  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  add(handshake: Handshake): void {
    this.#young.push(handshake);
    this.#timer ??= this.#clock.setTimer(this.#timeoutMs, () => this.#sweep());
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#young = [];
    this.#old = [];
  }

  #sweep(): void {
    for (const handshake of this.#old) {
      if (!handshake.isOver()) handshake.expire();
    }
    this.#old = this.#young;
    this.#young = [];
    const waiting = this.#old.length > 0;
    this.#timer = waiting ? this.#clock.setTimer(this.#timeoutMs, () => this.#sweep()) : undefined;
  }
}
