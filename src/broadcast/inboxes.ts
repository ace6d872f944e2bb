import type { Timer } from '../spiffe/index.ts';
import type { BroadcastLink } from './broadcast-link.ts';
import { Inbox, type InboxParts, type Listening } from './inbox.ts';

/** So many subjects are asked for at once when a connection is there again. */
const AT_ONCE = 16;
/** When they are asked for again. */
const AGAIN_MS = 2_000;
const MAX_AGAIN_MS = 60_000;

type InboxesParts = InboxParts & { readonly link: BroadcastLink };

interface Held {
  readonly listening: Listening;
  readonly inbox: Inbox;
}

/** The subjects that are listened to now; a connection that comes back finds out what was missed. */
export class Inboxes {
  readonly #parts: InboxesParts;
  readonly #held = new Map<string, Held>();
  readonly #stop: () => void;
  readonly #timers = new Set<Timer>();
  /** Of a connection: what was to be asked again over the one before is asked anew. */
  #round = 0;
  #isClosed = false;

  constructor(parts: InboxesParts) {
    this.#parts = parts;
    this.#stop = parts.link.watch((isConnected) => {
      if (!isConnected) return;
      this.#round++;
      this.#cancelTimers();
      void this.#connect([...this.#held.values()]);
    });
  }

  /** Listens to these, by subject and identity of the object, and to no others. */
  async set(wanted: Iterable<Listening>): Promise<void> {
    const bySubject = new Map([...wanted].map((listening) => [listening.subject, listening]));
    const gone = [...this.#held].filter(
      ([subject, held]) => bySubject.get(subject) !== held.listening,
    );
    for (const [subject] of gone) this.#held.delete(subject);
    const added = [...bySubject].filter(([subject]) => !this.#held.has(subject));
    const begun = added.map(([subject, listening]) => {
      const held = { listening, inbox: new Inbox(this.#parts, listening) };
      this.#held.set(subject, held);
      return held;
    });
    // What is given up is not waited for by what is new.
    const closed = gone.map(async ([, { inbox }]) => await inbox.close());
    await Promise.all([...closed, this.#connect(begun)]);
  }

  /** Judges the last message of a subject anew. */
  async reconsider(subject: string): Promise<void> {
    const held = this.#held.get(subject);
    held?.inbox.forget();
    await held?.inbox.catchUp();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stop();
    this.#cancelTimers();
    await Promise.all([...this.#held.values()].map(async ({ inbox }) => await inbox.close()));
    this.#held.clear();
  }

  /** Asks twice: what was published just before the subscription may be in no stream yet. */
  async #connect(all: readonly Held[]): Promise<void> {
    if (!this.#parts.link.isConnected) return;
    const round = this.#round;
    for (const { inbox } of all) inbox.connect();
    await this.#catchUp(all);
    this.#catchUpLater(all, { round, delayMs: AGAIN_MS });
  }

  /** Those that nobody answered for. */
  async #catchUp(all: readonly Held[]): Promise<readonly Held[]> {
    const left = all[Symbol.iterator]();
    const failed: Held[] = [];
    const work = async (): Promise<void> => {
      for (const held of left) {
        if (this.#isClosed) return;
        if (!(await held.inbox.catchUp())) failed.push(held);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    return failed;
  }

  #catchUpLater(
    all: readonly Held[],
    { round, delayMs }: { readonly round: number; readonly delayMs: number },
  ): void {
    if (this.#isClosed || round !== this.#round || all.length === 0) return;
    const timer = this.#parts.clock.setTimer(delayMs, () => {
      this.#timers.delete(timer);
      void this.#catchUp(all).then((failed) =>
        this.#catchUpLater(failed, { round, delayMs: Math.min(delayMs * 2, MAX_AGAIN_MS) }),
      );
    });
    this.#timers.add(timer);
  }

  #cancelTimers(): void {
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
  }
}
