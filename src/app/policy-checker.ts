import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';
import type { PolicyCheck } from '../policies/index.ts';
import {
  type Clock,
  messageOf,
  type PolicyFile,
  type PolicyTexts,
  type Timer,
  TrustplaneError,
} from '../spiffe/index.ts';
import { checkerThread, startThread } from './start-thread.ts';

type Files = readonly Pick<PolicyFile, 'name' | 'bytes'>[];

/** What the thread is asked. */
export interface PolicyCheckWork {
  readonly files: Files;
  /** What is decided otherwise than by these is to be told. */
  readonly before: Files | undefined;
  /** For tests that name no time; milliseconds since the epoch. */
  readonly now: number;
}

/** What it answers. */
export interface PolicyCheckAnswer extends PolicyCheck {
  readonly decisions: readonly string[];
}

export interface CheckedPolicies extends PolicyCheck {
  /** Files that came (`+`), went (`-`) or became others (`~`); then what is decided otherwise, where that was asked. */
  readonly changes: readonly string[];
}

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
   * One set after the other, with what it changes; `compares`: in what is decided too, which may take a while.
   * @throws TrustplaneError ERR_POLICY when the thread could not end its work
   */
  async check(
    files: readonly PolicyFile[],
    before: PolicyTexts | undefined,
    compares: boolean,
  ): Promise<CheckedPolicies> {
    const compared = compares ? (before?.files ?? []) : undefined;
    const answer = this.#checking.then(() => this.#check(files, compared));
    this.#checking = answer.catch(() => {});
    const { decisions, ...check } = await answer;
    return { ...check, changes: [...changedFiles(files, before), ...decisions] };
  }

  async close(): Promise<void> {
    this.#idle?.cancel();
    await this.#worker?.terminate();
  }

  async #check(files: Files, before: Files | undefined): Promise<PolicyCheckAnswer> {
    this.#idle?.cancel();
    const worker = (this.#worker ??= startWorker());
    const over = new AbortController();
    try {
      const answer = once(worker, 'message', { signal: over.signal });
      const end = once(worker, 'exit', { signal: over.signal });
      const work: PolicyCheckWork = {
        files: files.map(bare),
        before: before?.map(bare),
        now: this.#clock.now(),
      };
      worker.postMessage(work, []);
      const [check]: (PolicyCheckAnswer | number | undefined)[] = await Promise.race([answer, end]);
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

function bare({ name, bytes }: Files[number]): Files[number] {
  return { name, bytes };
}

function startWorker(): Worker {
  const worker = startThread(checkerThread);
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
