import type { ServerHttp2Stream } from 'node:http2';
import type { Room } from './room.ts';

/** The calls that are open on one connection. */
export class QuickSession {
  readonly #owner: string | undefined;
  readonly #room: Room<string | undefined>;
  /** One function for all calls. */
  readonly #leave: () => void;
  #open = 0;
  #ended = 0;
  /** Of the last look, when calls were open. */
  #endedBefore: number | undefined;

  /** @param owner whom its calls count for; undefined is not held to an owner's bound */
  constructor(owner: string | undefined, room: Room<string | undefined>) {
    this.#owner = owner;
    this.#room = room;
    this.#leave = () => {
      this.#open -= 1;
      this.#ended += 1;
      this.#room.leave(this.#owner);
    };
  }

  /** Counts a call in, if there is room for it, until its stream is closed. */
  enter(stream: ServerHttp2Stream): boolean {
    if (this.#room.isFull) return false;
    if (this.#owner !== undefined && !this.#room.hasRoomFor(this.#owner)) return false;
    this.#room.enter(this.#owner);
    this.#open += 1;
    stream.on('close', this.#leave);
    return true;
  }

  /** Calls were open at the last look and now, and none has ended between: nobody reads. */
  isStuck(): boolean {
    const isStuck = this.#open > 0 && this.#endedBefore === this.#ended;
    this.#endedBefore = this.#open > 0 ? this.#ended : undefined;
    return isStuck;
  }
}
