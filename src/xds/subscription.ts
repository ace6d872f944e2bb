import type { WorkloadUpdate } from '../spiffe/index.ts';
import { nextHeartbeat } from './heartbeats.ts';
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
  #waiting = 0;

  /** @throws TrustplaneError when the type does not serve such a client */
  constructor(type: ResourceType, client: XdsClient) {
    this.type = type;
    this.#session = type.open(client);
  }

  settle(verdict: Verdict, refusal: string | undefined, now: number): void {
    this.#session.settled(verdict, refusal);
    this.type.metrics.settled(verdict, now);
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
    this.#session.close();
  }

  #countWaiting(waiting: number): void {
    if (waiting === this.#waiting) return;
    this.type.metrics.waiting(waiting - this.#waiting);
    this.#waiting = waiting;
  }
}
