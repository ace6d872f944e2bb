import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { PolicyCheck } from '../policies/index.ts';
import {
  type Clock,
  messageOf,
  type PolicyFile,
  type PolicyTexts,
  type Timer,
  TrustplaneError,
} from '../spiffe/index.ts';

/** What the thread is asked. */
export interface PolicyCheckWork {
  readonly files: readonly Pick<PolicyFile, 'name' | 'bytes'>[];
  /** For tests that name no time; milliseconds since the epoch. */
  readonly now: number;
}

export interface CheckedPolicies extends PolicyCheck {
  /** Files that came (`+`), went (`-`) or became others (`~`). */
  readonly changes: readonly string[];
}

const WORKER = import.meta.url.endsWith('.ts')
  ? './policy-check-worker.ts'
  : './policy-check-worker.js';
const MAX_HEAP_MIB = 2_048;
/** Whoever applies policies mostly does so more than once. */
const IDLE_MS = 300_000;

/** Checks files on a thread of its own, which begins with the first and ends when none came for a while. */
export class PolicyChecker {
  readonly #clock: Clock;
  #worker: Worker | undefined;
  #checking: Promise<unknown> = Promise.resolve();
  #idle: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * One set after the other, with what it changes.
   * @throws TrustplaneError ERR_POLICY when the thread could not end its work
   */
  async check(
    files: readonly PolicyFile[],
    before: PolicyTexts | undefined,
  ): Promise<CheckedPolicies> {
    const check = this.#checking.then(() => this.#check(files));
    this.#checking = check.catch(() => {});
    return { ...(await check), changes: changedFiles(files, before) };
  }

  async close(): Promise<void> {
    this.#idle?.cancel();
    await this.#worker?.terminate();
  }

  async #check(files: readonly PolicyFile[]): Promise<PolicyCheck> {
    this.#idle?.cancel();
    const worker = (this.#worker ??= startWorker());
    const over = new AbortController();
    try {
      const answer = once(worker, 'message', { signal: over.signal });
      const end = once(worker, 'exit', { signal: over.signal });
      const work: PolicyCheckWork = {
        files: files.map(({ name, bytes }) => ({ name, bytes })),
        now: this.#clock.now(),
      };
      worker.postMessage(work);
      const [check]: (PolicyCheck | number | undefined)[] = await Promise.race([answer, end]);
      if (typeof check === 'object') return check;
      throw new Error(`the thread ended with ${check}`);
    } catch (cause) {
      this.#worker = undefined;
      await worker.terminate();
      const message = `the policies could not be checked: ${messageOf(cause)}`;
      throw new TrustplaneError('ERR_POLICY', message, { cause });
    } finally {
      over.abort();
      this.#idle = this.#clock.setTimer(IDLE_MS, () => void this.#rest());
    }
  }

  async #rest(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }
}

function startWorker(): Worker {
  const worker = new Worker(new URL(WORKER, import.meta.url), {
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
  });
  // Whoever waits is told; a thread that ends later is replaced.
  worker.on('error', () => {});
  return worker;
}

function changedFiles(
  files: readonly PolicyFile[],
  before: PolicyTexts | undefined,
): readonly string[] {
  const old = new Map(before?.files.map(({ name, sha256 }) => [name, sha256]));
  const changes = files.flatMap(({ name, sha256 }) => {
    if (!old.has(name)) return [`+ ${name}`];
    return old.get(name) === sha256 ? [] : [`~ ${name}`];
  });
  const names = new Set(files.map(({ name }) => name));
  const gone = [...old.keys()].filter((name) => !names.has(name));
  return [...changes, ...gone.map((name) => `- ${name}`)];
}
