import { type Bundle, printable } from '../spiffe/index.ts';
import {
  type ResourceRef,
  type ResourceView,
  type StreamState,
  type Verdict,
} from '../xds/index.ts';

/** Where it is noted which clients have the own trust domain's bundle. */
export interface BundleAudience {
  /** A client is given the bundle for the first time. */
  join(name: string): BundleHolder;
}

export interface BundleHolder {
  /** All the client has is made with this bundle, and it said so. */
  has(bundle: Bundle): void;
  /** It may hold an earlier one, because. */
  lacks(reason: string): void;
  leave(): void;
}

/** A validation context that was sent: what the client made of it. */
interface Sent {
  readonly version: string;
  /** Undefined while there is no answer, empty when it was taken. */
  readonly refusal: string | undefined;
}

const TAKEN = '';
const MAX_NAME_CHARS = 200;
const MAX_REFUSAL_CHARS = 200;

/** Follows which validation contexts the client of one stream has taken, and of which bundle they are. */
export class ContextHolder {
  readonly #join: () => BundleHolder;
  readonly #sent = new Map<string, Sent>();
  #holder: BundleHolder | undefined;
  #bundle: Bundle | undefined;

  /** `join` is called with the first validation context. */
  constructor(join: () => BundleHolder) {
    this.#join = join;
  }

  send(secrets: readonly ResourceRef[]): void {
    for (const { name, kind, version } of secrets) {
      if (kind !== 'validation_context') continue;
      this.#sent.set(name, { version, refusal: undefined });
      this.#bundle = undefined;
    }
  }

  /** The client's answer; `refusal`: why it refuses what it was sent. */
  settle({ refs }: Verdict, refusal: string | undefined): void {
    for (const { name, kind, version } of refs) {
      if (kind !== 'validation_context' || this.#sent.get(name)?.version !== version) continue;
      this.#sent.set(name, { version, refusal: refusal === undefined ? TAKEN : refusal || '?' });
      this.#bundle = undefined;
    }
  }

  /** Tells what has come of it, now that nothing more is due for this view, made with this bundle. */
  report(state: StreamState, view: ResourceView, bundle: Bundle, now: number): void {
    const { names, wildcard } = state;
    if (this.#bundle === bundle || this.#sent.size === 0) return;
    for (const name of this.#sent.keys()) {
      if (wildcard === 'none' && !names.has(name)) this.#sent.delete(name);
    }
    if (this.#sent.size === 0) return this.leave();
    this.#holder ??= this.#join();
    const reason = this.#faultIn(state, view, now);
    if (reason !== undefined) return this.#holder.lacks(reason);
    this.#bundle = bundle;
    this.#holder.has(bundle);
  }

  leave(): void {
    this.#holder?.leave();
    this.#holder = undefined;
    this.#bundle = undefined;
    this.#sent.clear();
  }

  #faultIn({ declined }: StreamState, view: ResourceView, now: number): string | undefined {
    for (const [name, { version, refusal }] of this.#sent) {
      const shown = printable(name, MAX_NAME_CHARS);
      if (refusal === undefined) return `has not answered ${shown}`;
      if (refusal !== TAKEN) {
        return `refuses ${shown}: ${printable(refusal, MAX_REFUSAL_CHARS)}`;
      }
      const found = view.resolve(name, now, declined.has(name));
      const present = typeof found === 'object' ? found : view.withdrawal(name);
      if (present !== undefined && present.version !== version) return `waits for ${shown}`;
    }
    return undefined;
  }
}
