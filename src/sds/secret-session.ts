import type { Log } from '../ops/index.ts';
import { printable, type WorkloadUpdate } from '../spiffe/index.ts';
import {
  type ResourceSession,
  type ResourceView,
  type Response,
  type StreamState,
  type Verdict,
  type XdsClient,
} from '../xds/index.ts';
import { type BundleAudience, ContextHolder } from './context-holder.ts';
import type { ValidationMode } from './validation.ts';

/** What the sessions of all clients share. */
export interface SecretGround {
  readonly viewOf: (update: WorkloadUpdate, mode: ValidationMode) => ResourceView;
  readonly audience: BundleAudience | undefined;
  readonly log: Log;
  /** Of more or fewer names than before trust domains are withheld. */
  readonly countDeclined: (change: number) => void;
}

const MAX_NAME_CHARS = 100;
const MAX_WITHHELD_LOGGED = 10;

/** The secrets of one client. */
export class SecretSession implements ResourceSession {
  readonly #ground: SecretGround;
  readonly #mode: ValidationMode;
  readonly #pid: number;
  readonly #nodeId: string;
  readonly #contexts: ContextHolder | undefined;
  #declined: ReadonlySet<string> = new Set();

  constructor({ pid, node }: XdsClient, mode: ValidationMode, ground: SecretGround) {
    this.#ground = ground;
    this.#mode = mode;
    this.#pid = pid;
    this.#nodeId = node?.id ?? '';
    const { audience } = ground;
    this.#contexts = audience && new ContextHolder(() => audience.join(this.#name));
  }

  view(update: WorkloadUpdate): ResourceView {
    return this.#ground.viewOf(update, this.#mode);
  }

  sent({ resources }: Response): void {
    this.#contexts?.send(resources);
  }

  settled(verdict: Verdict, refusal: string | undefined): void {
    this.#contexts?.settle(verdict, refusal);
  }

  report(state: StreamState, view: ResourceView, update: WorkloadUpdate, now: number): void {
    this.#noteDeclined(state.declined, update);
    this.#contexts?.report(state, view, update.bundle, now);
  }

  close(): void {
    this.#contexts?.leave();
    this.#ground.countDeclined(-this.#declined.size);
  }

  /** Which stream this is, to an operator. */
  get #name(): string {
    const node = this.#nodeId === '' ? '' : ` (${printable(this.#nodeId, MAX_NAME_CHARS)})`;
    return `SDS stream of pid ${this.#pid}${node}`;
  }

  /** What a client refuses with a list of SPIFFE IDs it is given without the trust domains that need one. */
  #noteDeclined(declined: ReadonlySet<string>, update: WorkloadUpdate): void {
    const before = this.#declined;
    if (declined === before || declined.size === before.size) return;
    this.#declined = declined;
    this.#ground.countDeclined(declined.size - before.size);
    const withheld = [...update.accept.keys()].slice(0, MAX_WITHHELD_LOGGED);
    for (const name of declined) {
      if (before.has(name)) continue;
      const resourceName = printable(name, MAX_NAME_CHARS);
      const fields = { pid: this.#pid, node: this.#nodeId, resourceName, withheld };
      this.#ground.log.warn(
        fields,
        'trust domains are withheld from a client that takes no list of SPIFFE IDs',
      );
    }
  }
}
