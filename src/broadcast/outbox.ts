import type { Log } from '../ops/index.ts';
import { type Clock, messageOf, type Timer } from '../spiffe/index.ts';
import type { BroadcastLink } from './broadcast-link.ts';
import type { BroadcastMetrics } from './broadcast-metrics.ts';
import { halfLife } from './publish-decision.ts';
import type { Signers } from './publisher-svids.ts';
import { type Publishing, sendMessage } from './send-message.ts';
import type { MessageSigner } from './signed-message.ts';

/** A message that is to stand on its subject for as long as it is wanted. */
export interface OutboxItem {
  readonly subject: string;
  readonly kind: 'relay' | 'ack';
  /** Another one when it says something else. */
  readonly version: string;
  /** Instants in milliseconds since the epoch. */
  write(times: {
    readonly issuedAt: number;
    readonly expiresAt: number;
    readonly signers: readonly MessageSigner[];
  }): Uint8Array;
}

/** Work that one server should do, harmless when two do it. */
export interface BroadcastDuty {
  isMine(): boolean;
  watch(listener: () => void): () => void;
}

export interface OutboxParts {
  readonly link: Publishing & Pick<BroadcastLink, 'isConnected' | 'watch'>;
  readonly signers: () => Promise<Signers | undefined>;
  /** Whether who comes late is served what was sent before. */
  readonly isKept: () => boolean;
  readonly duty: BroadcastDuty;
  readonly clock: Clock;
  /** Limited. */
  readonly log: Log;
  readonly metrics: BroadcastMetrics;
}

const MAX_WAIT_MS = 60_000;
const RETRY_MS = 5_000;
const FIRST_AGAIN_MS = 2_000;
/** Messages between two turns of what else the process does. */
const AT_ONCE = 20;

interface Sent {
  readonly version: string;
  /** Milliseconds since the epoch. */
  readonly issuedAt: number;
  readonly renewAt: number;
  /** How soon it is said again where no stream keeps it. */
  readonly againMs: number;
}

/** Publishes messages when they change, at half of their life, and when a connection is there again. */
export class Outbox {
  readonly #parts: OutboxParts;
  readonly #stops: (() => void)[];
  #items: readonly OutboxItem[] = [];
  #sent = new Map<string, Sent>();
  #timer: Timer | undefined;
  #work: Promise<void> | undefined;
  #isPoked = false;
  #isClosed = false;

  constructor(parts: OutboxParts) {
    this.#parts = parts;
    this.#stops = [
      parts.link.watch((isConnected) => this.#begin(isConnected)),
      parts.duty.watch(() => this.#begin(parts.duty.isMine())),
    ];
  }

  /** These and no others are published from now on. */
  set(items: readonly OutboxItem[]): void {
    this.#items = items;
    const subjects = new Set(items.map(({ subject }) => subject));
    for (const subject of this.#sent.keys()) {
      if (!subjects.has(subject)) this.#sent.delete(subject);
    }
    this.#poke();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const stop of this.#stops) stop();
    this.#timer?.cancel();
    await this.#work;
  }

  #begin(isNeeded: boolean): void {
    if (!isNeeded) return;
    this.#sent.clear();
    this.#poke();
  }

  #poke(): void {
    this.#isPoked = true;
    if (this.#isClosed) return;
    this.#work ??= this.#run().finally(() => {
      this.#work = undefined;
    });
  }

  /** Never throws. */
  async #run(): Promise<void> {
    while (this.#isPoked && !this.#isClosed) {
      this.#isPoked = false;
      this.#timer?.cancel();
      const waitMs = await this.#flush().catch((error: unknown) => {
        this.#parts.log.warn({ error: messageOf(error) }, 'messages about bundles were not sent');
        return RETRY_MS;
      });
      if (this.#isClosed) return;
      this.#timer = this.#parts.clock.setTimer(waitMs, () => this.#poke());
    }
  }

  /** How long until there is something to do. */
  async #flush(): Promise<number> {
    const { link, duty, clock } = this.#parts;
    if (!link.isConnected || !duty.isMine()) return MAX_WAIT_MS;
    const due = this.#items.filter((item) => this.#isDue(item, clock.now()));
    const signers = due.length === 0 ? undefined : await this.#parts.signers();
    if (due.length > 0 && signers === undefined) return MAX_WAIT_MS;
    for (const [index, item] of due.entries()) {
      if (index % AT_ONCE === AT_ONCE - 1) await new Promise((resolve) => setImmediate(resolve));
      if (this.#isClosed || !link.isConnected) return MAX_WAIT_MS;
      if (signers !== undefined) this.#send(item, signers);
    }
    const next = Math.min(...[...this.#sent.values()].map(({ renewAt }) => renewAt));
    return Math.min(Math.max(0, next - clock.now()), MAX_WAIT_MS);
  }

  #isDue({ subject, version }: OutboxItem, now: number): boolean {
    const sent = this.#sent.get(subject);
    // What was said by a clock that was put back since is of the future to who hears it now.
    return sent?.version !== version || now >= sent.renewAt || now < sent.issuedAt;
  }

  #send(item: OutboxItem, { signers, expiresAt }: Signers): void {
    const { subject, kind, version } = item;
    const issuedAt = this.#parts.clock.now();
    try {
      const bytes = item.write({ issuedAt, expiresAt, signers });
      sendMessage(this.#parts, { subject, kind, bytes });
    } catch (error) {
      this.#parts.log.error({ subject, error: messageOf(error) }, 'a message was not sent');
    }
    const half = halfLife({ issuedAt, expiresAt });
    const before = this.#sent.get(subject);
    const isRepeated = before?.version === version;
    const againMs = isRepeated ? Math.min(before.againMs * 2, MAX_WAIT_MS) : FIRST_AGAIN_MS;
    const renewAt = this.#parts.isKept() ? half : Math.min(half, issuedAt + againMs);
    this.#sent.set(subject, { version, issuedAt, renewAt, againMs });
  }
}
