import type { Socket } from 'node:net';
import type { Clock, Timer } from '../spiffe/index.ts';

/** The client preface of HTTP/2 and an empty SETTINGS frame (RFC 9113, section 3.4). */
const PREFACE_BYTES = 24 + 9;

/**
 * Closes connections whose peer does not begin to speak. Two lists and one timer serve all of them:
 * a connection is looked at once, when it is between one and two timeouts old.
 */
export class HandshakeWatch {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #expired: (socket: Socket) => void;
  #young: Socket[] = [];
  #old: Socket[] = [];
  #timer: Timer | undefined;

  constructor(clock: Clock, timeoutMs: number, expired: (socket: Socket) => void) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#expired = expired;
  }

  add(socket: Socket): void {
    this.#young.push(socket);
    this.#timer ??= this.#clock.setTimer(this.#timeoutMs, () => this.#sweep());
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#young = [];
    this.#old = [];
  }

  #sweep(): void {
    for (const socket of this.#old) {
      if (!socket.destroyed && socket.bytesRead < PREFACE_BYTES) this.#expired(socket);
    }
    this.#old = this.#young;
    this.#young = [];
    const waiting = this.#old.length > 0;
    this.#timer = waiting ? this.#clock.setTimer(this.#timeoutMs, () => this.#sweep()) : undefined;
  }
}
