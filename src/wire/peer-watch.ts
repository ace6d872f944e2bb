import type { Duplex } from 'node:stream';
import { type Clock, messageOf, type Timer } from '../spiffe/index.ts';
import type { TlsPeer } from './tls-peers.ts';

const LOOK_EVERY_MS = 5_000;
/** Part of what is left of an SVID's life when it connects, after which it is to connect anew. */
const SHARE_OF_LIFE = 0.9;

/** A TLS connection of a caller with an SVID. */
export interface WatchedPeer {
  readonly peer: TlsPeer;
  readonly socket: Duplex;
}

export interface PeerWatchOptions {
  readonly clock: Clock;
  /** Asks it to connect anew with the SVID that it has by then; calls under way are answered. */
  retire(watched: WatchedPeer): void;
  /** It may no longer call. */
  refuse(watched: WatchedPeer, why: string): void;
  admits(peer: TlsPeer): boolean;
}

/**
 * Looks again at those who were let in, for methods that do not ask who calls: whose SVID has expired,
 * is no longer trusted or no longer admitted is cut off within seconds.
 */
export class PeerWatch {
  readonly #options: PeerWatchOptions;
  /** With the time at which each is to connect anew. */
  readonly #peers = new Map<WatchedPeer, number>();
  #timer: Timer | undefined;

  constructor(options: PeerWatchOptions) {
    this.#options = options;
  }

  add(watched: WatchedPeer): void {
    const { caller } = watched.peer;
    if (caller.kind === 'anonymous') return;
    const now = this.#options.clock.now();
    this.#peers.set(watched, now + (caller.svid.leaf.notAfter - now) * SHARE_OF_LIFE);
    watched.socket.on('close', () => this.#peers.delete(watched));
    this.#timer ??= this.#sleep();
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #sleep(): Timer {
    return this.#options.clock.setTimer(LOOK_EVERY_MS, () => {
      for (const [watched, retireAt] of this.#peers) this.#look(watched, retireAt);
      this.#timer = this.#peers.size > 0 ? this.#sleep() : undefined;
    });
  }

  #look(watched: WatchedPeer, retireAt: number): void {
    const { clock } = this.#options;
    const fault = this.#faultOf(watched.peer);
    if (fault !== undefined) return this.#options.refuse(watched, fault);
    if (clock.now() < retireAt) return;
    this.#peers.set(watched, Number.POSITIVE_INFINITY);
    this.#options.retire(watched);
  }

  #faultOf(peer: TlsPeer): string | undefined {
    try {
      peer.verify();
      return this.#options.admits(peer) ? undefined : 'the caller is no longer admitted';
    } catch (error) {
      return messageOf(error);
    }
  }
}
