import {
  buildCsr,
  type Clock,
  messageOf,
  type P256KeyPair,
  type SpiffeId,
  TrustplaneError,
} from '../spiffe/index.ts';
import type { SvidGrant, SvidIssuer } from './svid-issuer.ts';

/** Also bounds how long making keys and requests holds the event loop. */
const MAX_BATCH = 50;
const MAX_IN_FLIGHT = 4;
const ISSUE_TIMEOUT_MS = 10_000;

/** One SVID on its way: what to ask for, and what to do with the answer. */
export interface IssueOrder {
  readonly entryId: string;
  readonly spiffeId: SpiffeId;
  /** Called exactly once, unless the queue is closed first. */
  done(outcome: IssueOutcome): void;
}

export type IssueOutcome =
  | { readonly issued: SvidGrant; readonly keys: P256KeyPair }
  | { readonly error: TrustplaneError };

export interface IssueQueueOptions {
  readonly issuer: SvidIssuer;
  readonly clock: Clock;
  readonly generateKeyPair: () => P256KeyPair;
}

/**
 * Asks the issuer in batches: up to 50 SVIDs a call, up to 4 calls at a time, those a workload waits
 * for before renewals, each with a new key. A call without an answer within 10 s has failed.
 */
export class IssueQueue {
  readonly #options: IssueQueueOptions;
  /** By entry id; the order is made when its turn comes. */
  readonly #first = new Map<string, () => IssueOrder>();
  readonly #renewals = new Map<string, () => IssueOrder>();
  #inFlight = 0;
  #scheduled = false;
  #closed = false;

  constructor(options: IssueQueueOptions) {
    this.#options = options;
  }

  /** Queues one; `urgent` when nothing can be served until it comes. */
  add(entryId: string, urgent: boolean, order: () => IssueOrder): void {
    this.remove(entryId);
    (urgent ? this.#first : this.#renewals).set(entryId, order);
    this.#schedule();
  }

  /** Takes back what has not been sent yet. */
  remove(entryId: string): void {
    this.#first.delete(entryId);
    this.#renewals.delete(entryId);
  }

  close(): void {
    this.#closed = true;
    this.#first.clear();
    this.#renewals.clear();
  }

  /** In a microtask, so that what one change asks for goes out together. */
  #schedule(): void {
    if (this.#scheduled || this.#inFlight >= MAX_IN_FLIGHT) return;
    this.#scheduled = true;
    queueMicrotask(() => this.#pump());
  }

  #pump(): void {
    this.#scheduled = false;
    const orders = this.#closed || this.#inFlight >= MAX_IN_FLIGHT ? [] : this.#takeBatch();
    if (orders.length === 0) return;
    void this.#issue(orders);
    if (this.#first.size + this.#renewals.size > 0) {
      this.#scheduled = true;
      setImmediate(() => this.#pump());
    }
  }

  #takeBatch(): IssueOrder[] {
    const batch: IssueOrder[] = [];
    for (const queue of [this.#first, this.#renewals]) {
      for (const [entryId, order] of queue) {
        if (batch.length === MAX_BATCH) return batch;
        queue.delete(entryId);
        batch.push(order());
      }
    }
    return batch;
  }

  async #issue(orders: readonly IssueOrder[]): Promise<void> {
    this.#inFlight++;
    const outcomes = await this.#call(orders).catch((error: unknown): IssueOutcome[] => {
      const failed = { error: asIssueError(error) };
      return orders.map(() => failed);
    });
    this.#inFlight--;
    if (this.#closed) return;
    for (const [index, order] of orders.entries()) {
      order.done(outcomes[index] ?? { error: missing(order.entryId) });
    }
    this.#schedule();
  }

  async #call(orders: readonly IssueOrder[]): Promise<IssueOutcome[]> {
    const { clock, issuer, generateKeyPair } = this.#options;
    const keys = orders.map(() => generateKeyPair());
    const requests = keys.flatMap((pair, index) => {
      const order = orders[index];
      if (order === undefined) return [];
      return [{ entryId: order.entryId, csr: buildCsr({ ...pair, spiffeId: order.spiffeId }) }];
    });
    const results = await withTimeout(clock, issuer.issue(requests));
    return keys.map((pair, index) => {
      const result = results[index] ?? { error: missing(requests[index]?.entryId) };
      return 'error' in result ? result : { issued: result, keys: pair };
    });
  }
}

/** @throws TrustplaneError ERR_SVID_ISSUE after 10 s */
export function withTimeout<T>(clock: Clock, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimer(ISSUE_TIMEOUT_MS, () =>
      reject(failure(`the issuer did not answer within ${ISSUE_TIMEOUT_MS / 1000} s`)),
    );
    promise.then(resolve, reject).finally(() => timer.cancel());
  });
}

function missing(entryId = ''): TrustplaneError {
  return failure(`the issuer's answer has no result for entry ${JSON.stringify(entryId)}`);
}

/** Why there is no SVID, with a code of our own. */
export function asIssueError(error: unknown): TrustplaneError {
  if (error instanceof TrustplaneError) return error;
  return failure(`the issuer failed: ${messageOf(error)}`, { cause: error });
}

function failure(message: string, options?: ErrorOptions): TrustplaneError {
  return new TrustplaneError('ERR_SVID_ISSUE', message, options);
}
