import type { Clock, Timer } from '../spiffe/index.ts';

const EVERY_MS = 1_000;

/** One part of the process. */
export interface HealthCheck {
  readonly name: string;
  /** Why it does not do its work; undefined: it does. */
  readonly fault: string | undefined;
  /** What it serves, or goes by; for administrators. */
  readonly detail?: string | undefined;
  /** False: whoever can go to another instance had better. */
  readonly isReady: boolean;
}

/** Whether the process does its work, and each part's answer. */
export interface ProcessHealth {
  readonly isReady: boolean;
  readonly checks: readonly HealthCheck[];
}

type Phase = 'starting' | 'serving' | 'stopping';
type AskFault = () => string | undefined;

/**
 * Whether a process is ready: once it serves, while no part that is required names a fault, until it
 * begins to stop. While it serves, the parts are asked each second, so that those who watch are told.
 */
export class Readiness {
  readonly #clock: Clock;
  readonly #parts = new Map<string, { readonly ask: AskFault; readonly isRequired: boolean }>();
  readonly #details = new Map<string, AskFault>();
  readonly #listeners: ((isReady: boolean) => void)[] = [];
  #phase: Phase = 'starting';
  #told = false;
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Without this part the process cannot serve. `ask` is called often and answers at once; undefined: no fault. */
  require(name: string, ask: AskFault): void {
    this.#parts.set(name, { ask, isRequired: true });
  }

  /** A fault of this part is shown, and the process serves all the same. */
  observe(name: string, ask: AskFault): void {
    this.#parts.set(name, { ask, isRequired: false });
  }

  /** What a part serves, or goes by: shown beside its health. */
  describe(name: string, ask: () => string | undefined): void {
    this.#details.set(name, ask);
  }

  /** Everything serves. */
  start(): void {
    this.#phase = 'serving';
    this.#sleep();
    this.check();
  }

  /** Before anything is closed; for good. */
  stop(): void {
    this.#phase = 'stopping';
    this.#timer?.cancel();
    this.check();
  }

  check(): ProcessHealth {
    const parts = [...this.#parts].map(([name, { ask, isRequired }]) => {
      const fault = ask();
      const detail = this.#details.get(name)?.();
      const isReady = fault === undefined || !isRequired;
      return { name, fault, isReady, ...(detail !== undefined && { detail }) };
    });
    const isServing = this.#phase === 'serving';
    const fault = isServing ? undefined : `it is ${this.#phase}`;
    const checks = [{ name: 'process', fault, isReady: isServing }, ...parts];
    const isReady = checks.every((check) => check.isReady);
    this.#tell(isReady);
    return { isReady, checks };
  }

  /** Tells what is known now, then each change. */
  watch(listener: (isReady: boolean) => void): void {
    this.#listeners.push(listener);
    listener(this.#told);
  }

  #sleep(): void {
    this.#timer = this.#clock.setTimer(EVERY_MS, () => {
      this.check();
      this.#sleep();
    });
  }

  #tell(isReady: boolean): void {
    if (isReady === this.#told) return;
    this.#told = isReady;
    for (const listener of this.#listeners) listener(isReady);
  }
}
