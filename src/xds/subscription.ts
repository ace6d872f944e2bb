import type { Tracing } from '../ops/index.ts';
import { printable, type ResourceReport, type WorkloadUpdate } from '../spiffe/index.ts';
import { nextHeartbeat } from './heartbeats.ts';
import { PushSpans } from './push-spans.ts';
import type { ResourceSession, ResourceType, XdsClient } from './resource-type.ts';
import type { ResourceView } from './resource-view.ts';
import type { Response } from './respond.ts';
import type { Respond } from './stream-protocol.ts';
import {
  countWaiting,
  initialStreamState,
  type StreamState,
  type Verdict,
} from './stream-state.ts';

/** Names of which it is remembered why the client refuses them. */
const MAX_REFUSALS = 32;
const MAX_TEXT_CHARS = 500;
const MAX_NAME_CHARS = 256;

interface Refusal {
  readonly version: string;
  readonly text: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** Where a subscription would stand, and what would be sent for that. */
interface Advance {
  readonly view: ResourceView;
  readonly state: StreamState;
  readonly response: Response | undefined;
}

/** One type on one stream: where it stands, and the resources of this client. */
export class Subscription {
  readonly type: ResourceType;
  state: StreamState = initialStreamState;
  readonly #session: ResourceSession;
  readonly #refusals = new Map<string, Refusal>();
  /** Undefined: nothing is traced. */
  readonly #spans: PushSpans | undefined;
  #waiting = 0;

  /** @throws TrustplaneError when the type does not serve such a client */
  constructor(type: ResourceType, client: XdsClient, tracing?: Pick<Tracing, 'follow'>) {
    this.type = type;
    this.#spans = tracing && new PushSpans(tracing, client);
    this.#session = type.open(client);
  }

  settle(verdict: Verdict, refusal: string | undefined, now: number): void {
    this.#session.settled(verdict, refusal);
    this.#spans?.settle(verdict.refs, refusal);
    this.type.metrics.settled(verdict, now);
    this.#remember(verdict, refusal, now);
  }

  /** How each name stands that was asked for, or is held. */
  report(): readonly ResourceReport[] {
    const { names, served, holds, flights } = this.state;
    const flying = new Map(
      flights.flatMap(({ refs, sentAt }) => refs.map(({ name }) => [name, sentAt])),
    );
    const type = this.type.typeUrl.split('.').at(-1) ?? '';
    return Array.from(new Set([...names, ...served.keys()]), (full) => {
      const name = printable(full, MAX_NAME_CHARS);
      const refusal = this.#refusals.get(full);
      const sentAt = flying.get(full);
      if (refusal !== undefined && refusal.version === served.get(full)) {
        return { type, name, state: 'refused', refusal: refusal.text, at: refusal.at };
      }
      if (sentAt !== undefined) return { type, name, state: 'sent', at: sentAt };
      return { type, name, state: holds.has(full) ? 'taken' : 'waiting' };
    });
  }

  /** What is due; nothing is changed by it. */
  advance(respond: Respond, update: WorkloadUpdate, now: number): Advance {
    const view = this.#session.view(update);
    const { state, response } = respond(this.state, view, now);
    return { view, state, response };
  }

  commit({ view, state, response }: Advance, update: WorkloadUpdate, now: number): void {
    this.state = state;
    this.#countWaiting(countWaiting(state));
    if (response !== undefined) {
      this.#session.sent(response);
      this.#spans?.begin(response.resources);
      this.type.metrics.sent(response.resources);
    }
    this.#session.report(state, view, update, now);
  }

  /** When a heartbeat is due, in milliseconds since the epoch; Infinity: never. */
  wakeTime(update: WorkloadUpdate, now: number): number {
    if (this.state.leases.size === 0) return Infinity;
    return nextHeartbeat(this.state, this.#session.view(update), now);
  }

  close(): void {
    this.#countWaiting(0);
    this.#spans?.close();
    this.#session.close();
  }

  #remember({ accepted, refs }: Verdict, refusal = '', now: number): void {
    for (const { name, version } of refs) {
      this.#refusals.delete(name);
      if (accepted) continue;
      const [oldest] = this.#refusals.keys();
      if (this.#refusals.size >= MAX_REFUSALS && oldest !== undefined)
        this.#refusals.delete(oldest);
      this.#refusals.set(name, { version, text: printable(refusal, MAX_TEXT_CHARS), at: now });
    }
  }

  #countWaiting(waiting: number): void {
    if (waiting === this.#waiting) return;
    this.type.metrics.waiting(waiting - this.#waiting);
    this.#waiting = waiting;
  }
}
