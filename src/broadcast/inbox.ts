import { createHash } from 'node:crypto';
import type { Log } from '../ops/index.ts';
import {
  type Clock,
  type ErrorCode,
  messageOf,
  type Timer,
  TrustplaneError,
} from '../spiffe/index.ts';
import type { BroadcastMetrics, MessageKind } from './broadcast-metrics.ts';
import type { BroadcastStream } from './broadcast-stream.ts';

/** One subject that is listened to. */
export interface Listening {
  readonly subject: string;
  readonly kind: MessageKind;
  /** Takes a message in; known: it says what was known. @throws TrustplaneError when it is not believed */
  take(bytes: Uint8Array): Promise<'accepted' | 'known'> | 'accepted' | 'known';
  /** Called after a message that is not believed. */
  onRefused?(): void;
}

/** What an inbox needs of a connection. */
export interface Subscribing {
  isClosed(): boolean;
  subscribe(
    subject: string,
    options: {
      readonly callback: (error: Error | null, message: { readonly data: Uint8Array }) => void;
    },
  ): { unsubscribe(): void };
}

export interface InboxParts {
  readonly link: { readonly connection: Subscribing | undefined };
  readonly stream: Pick<BroadcastStream, 'latest'>;
  readonly clock: Clock;
  /** Limited: others cause its lines. */
  readonly log: Log;
  readonly metrics: BroadcastMetrics;
}

const JUDGEMENTS: readonly ErrorCode[] = ['ERR_RELATIONSHIP_NOT_FOUND', 'ERR_FEDERATION_TOO_LARGE'];

/** The message itself is at fault, not that it could not be stored. */
function isJudgement(error: unknown): boolean {
  return (
    error instanceof TrustplaneError &&
    (error.code.startsWith('ERR_BUNDLE_') || JUDGEMENTS.includes(error.code))
  );
}

/** What one subject may cost: each message is a chain and a signature to verify. */
const inboxLimits = {
  /** Messages at once after a pause, and so many a second. */
  burst: 40,
  perSecond: 20,
  waiting: 8,
  /** When what could not be taken in is tried again, and the last message asked for. */
  againMs: 2_000,
} as const;

/**
 * The messages of one subject, one after the other: each is verified, those beyond a rate are passed
 * over, and the last one is asked for when that was so, or when a connection is there again.
 */
export class Inbox {
  readonly #parts: InboxParts;
  readonly #listening: Listening;
  readonly #waiting: Uint8Array[] = [];
  #subscription: ReturnType<Subscribing['subscribe']> | undefined;
  #work: Promise<void> | undefined;
  #last = '';
  #allowance: number = inboxLimits.burst;
  #countedAt: number;
  #isClosed = false;
  #timer: Timer | undefined;

  constructor(parts: InboxParts, listening: Listening) {
    this.#parts = parts;
    this.#listening = listening;
    this.#countedAt = parts.clock.now();
  }

  /** Begins to listen, where that is possible and was not done. */
  connect(): void {
    const { connection } = this.#parts.link;
    if (this.#isClosed || connection === undefined || connection.isClosed()) return;
    try {
      this.#subscription ??= this.#subscribe(connection);
    } catch (error) {
      // A connection that is being closed takes none.
      this.#unheard(error);
    }
  }

  /** Takes in the last message there was; false when nobody said which that is. */
  async catchUp(): Promise<boolean> {
    if (this.#isClosed) return true;
    const { subject } = this.#listening;
    try {
      const bytes = await this.#parts.stream.latest(subject);
      if (bytes !== undefined && !this.#isClosed) this.#enqueue(bytes);
    } catch (error) {
      this.#parts.log.debug({ subject, error: messageOf(error) }, 'nobody has the last message');
      return false;
    }
    await this.#work;
    return true;
  }

  /** What was refused may be believed now. */
  forget(): void {
    this.#last = '';
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#waiting.length = 0;
    if (this.#parts.link.connection?.isClosed() === false) this.#subscription?.unsubscribe();
    await this.#work;
  }

  #subscribe(connection: Subscribing): ReturnType<Subscribing['subscribe']> {
    return connection.subscribe(this.#listening.subject, {
      callback: (error, message) => {
        if (error === null) this.#receive(message.data);
        else this.#unheard(error);
      },
    });
  }

  #unheard(error: unknown): void {
    const { subject } = this.#listening;
    this.#parts.log.warn({ subject, error: messageOf(error) }, 'a subject is not heard');
  }

  #receive(bytes: Uint8Array): void {
    if (this.#isClosed) return;
    if (this.#admits()) return this.#enqueue(bytes);
    const message = `more than ${inboxLimits.perSecond} messages a second`;
    this.#refuse(new TrustplaneError('ERR_BUNDLE_MESSAGE_FLOOD', message));
    this.#lookAgain();
  }

  /** @param bytes a message that was believed and is to be taken in all the same */
  #lookAgain(bytes?: Uint8Array): void {
    if (this.#isClosed) return;
    this.#timer ??= this.#parts.clock.setTimer(inboxLimits.againMs, () => {
      this.#timer = undefined;
      if (bytes !== undefined) {
        this.forget();
        this.#enqueue(bytes);
      }
      void this.catchUp();
    });
  }

  #admits(): boolean {
    const now = this.#parts.clock.now();
    const earned = (Math.max(0, now - this.#countedAt) * inboxLimits.perSecond) / 1_000;
    this.#allowance = Math.min(inboxLimits.burst, this.#allowance + earned);
    this.#countedAt = now;
    if (this.#allowance < 1 || this.#waiting.length >= inboxLimits.waiting) return false;
    this.#allowance--;
    return true;
  }

  #enqueue(bytes: Uint8Array): void {
    this.#waiting.push(bytes);
    this.#work ??= this.#drain().finally(() => {
      this.#work = undefined;
    });
  }

  async #drain(): Promise<void> {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      await this.#take(next);
    }
  }

  /** Never throws. */
  async #take(bytes: Uint8Array): Promise<void> {
    const { kind } = this.#listening;
    const hash = createHash('sha256').update(bytes).digest('base64');
    if (hash === this.#last) return this.#parts.metrics.received(kind, 'known');
    this.#last = hash;
    try {
      this.#parts.metrics.received(kind, await this.#listening.take(bytes));
    } catch (error) {
      this.#refuse(error);
      if (!isJudgement(error)) this.#lookAgain(bytes);
    }
  }

  #refuse(error: unknown): void {
    const { kind, subject } = this.#listening;
    this.#parts.metrics.refused(kind, error);
    const code = error instanceof TrustplaneError ? error.code : undefined;
    // The servers of a trust domain are not in step; who is behind repeats what was known.
    const level = code === 'ERR_BUNDLE_MESSAGE_REPLAY' ? 'debug' : 'warn';
    this.#parts.log[level](
      { subject, code, error: messageOf(error) },
      'refused a message about a bundle',
    );
    this.#listening.onRefused?.();
  }
}
