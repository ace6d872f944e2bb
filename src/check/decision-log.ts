import type { Clock, Timer } from '../spiffe/index.ts';
import type { CheckRecord } from './check-handler.ts';
import { DecisionLines } from './decision-line.ts';
import { JsonBytes } from './json-bytes.ts';

/** Where lines go; takes them at once, and never waits or throws. */
export interface DecisionSink {
  /** `count` whole lines, in ASCII. */
  write(lines: Buffer, count: number): void;
  /** After what was written is out, or lost. */
  close(): Promise<void>;
}

export interface DecisionLogOptions {
  readonly sinks: readonly DecisionSink[];
  /** Share of the allowed requests that is logged, 0 to 1; the same decision in each of several logs. */
  readonly sample: number;
  /** Names of the headers whose values are logged, in lower case. */
  readonly headers: readonly string[];
  readonly clock: Clock;
}

export interface DecisionLog {
  /** Never throws and never waits. */
  record(record: CheckRecord): void;
  close(): Promise<void>;
}

const BATCH_BYTES = 65_536;
/** Room for the line that exceeds it. */
const SPARE_BYTES = 8_192;
const BATCH_MS = 100;

/** Writes decisions as lines, in batches: every denied request, a share of the allowed ones. */
export function createDecisionLog(options: DecisionLogOptions): DecisionLog {
  return new BatchedLog(options);
}

class BatchedLog implements DecisionLog {
  readonly #options: DecisionLogOptions;
  readonly #out = new JsonBytes(BATCH_BYTES + SPARE_BYTES);
  readonly #lines: DecisionLines;
  readonly #threshold: number;
  #count = 0;
  #timer: Timer | undefined;

  constructor(options: DecisionLogOptions) {
    this.#options = options;
    this.#lines = new DecisionLines(this.#out, options.headers);
    this.#threshold = options.sample * 2 ** 32;
  }

  record(record: CheckRecord): void {
    if (!this.#isLogged(record)) return;
    this.#lines.write(record);
    this.#count++;
    if (this.#out.length >= BATCH_BYTES) this.#flush();
    else this.#timer ??= this.#options.clock.setTimer(BATCH_MS, () => this.#flush());
  }

  async close(): Promise<void> {
    this.#flush();
    await Promise.all(this.#options.sinks.map(async (sink) => await sink.close()));
  }

  #isLogged({ id, decision }: CheckRecord): boolean {
    if (!decision.isAllowed || decision.log === 'always') return true;
    return this.#threshold === 2 ** 32 || hashOf(id) < this.#threshold;
  }

  #flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#count === 0) return;
    const lines = this.#out.take();
    const count = this.#count;
    this.#count = 0;
    for (const sink of this.#options.sinks) sink.write(lines, count);
  }
}

/** 32 bits: FNV-1a, and a finish that spreads what differs in the last character. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
