import type { Log } from '../ops/index.ts';
import { type Bundle, type Clock, type Crl, coverWithCrls, type Timer } from '../spiffe/index.ts';
import type { CrlSource } from '../svid/index.ts';

/** What a host knows, live; the same list until something changes. */
export interface CrlList {
  list(): readonly Crl[];
  watch(listener: () => void): () => void;
}

/** A timer takes no longer one. */
const LONGEST_WAIT_MS = 86_400_000;

/** The CRLs that those who are served check against: all or nothing, looked at again when one begins or is about to end. */
export class AgentCrls implements CrlSource {
  readonly #known: CrlList;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #listeners = new Set<() => void>();
  readonly #unwatch: () => void;
  #timer: Timer | undefined;
  #own: Bundle | undefined;
  #ders: readonly Uint8Array[] = [];
  #fault: string | undefined;

  constructor(known: CrlList, { clock, log }: { readonly clock: Clock; readonly log: Log }) {
    this.#known = known;
    this.#clock = clock;
    this.#log = log;
    this.#unwatch = known.watch(() => this.#reconsider());
  }

  current(own: Bundle): readonly Uint8Array[] {
    if (own !== this.#own) this.#decide(own);
    return this.#ders;
  }

  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#unwatch();
    this.#timer?.cancel();
    this.#listeners.clear();
  }

  #reconsider(): void {
    if (this.#own === undefined) return;
    const before = this.#ders;
    this.#decide(this.#own);
    if (this.#ders === before) return;
    for (const listener of this.#listeners) listener();
  }

  #decide(own: Bundle): void {
    const now = this.#clock.now();
    const { crls, until, fault } = coverWithCrls(own, this.#known.list(), now);
    const isSame =
      crls.length === this.#ders.length && crls.every(({ der }, at) => der === this.#ders[at]);
    if (!isSame) this.#ders = crls.map(({ der }) => der);
    if (fault !== undefined && fault !== this.#fault) {
      this.#log.warn({ why: fault }, 'nobody is given CRLs');
    }
    this.#fault = fault;
    this.#own = own;
    this.#timer?.cancel();
    if (until === Number.POSITIVE_INFINITY) return;
    const waitMs = Math.min(until - now, LONGEST_WAIT_MS);
    this.#timer = this.#clock.setTimer(waitMs, () => this.#reconsider());
  }
}
