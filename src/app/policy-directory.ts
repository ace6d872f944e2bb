import { type FSWatcher, watch } from 'node:fs';
import type { Log, Metrics } from '../ops/index.ts';
import { type Clock, messageOf, type Timer, TrustplaneError } from '../spiffe/index.ts';
import { startPolicyCompiler } from './policy-compiler.ts';
import { findPolicyFiles, type PolicyFiles } from './policy-files.ts';
import type { PolicyCompiler, PolicySet, PolicySource } from './policy-source.ts';

export interface PolicyDirectoryOptions {
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Default: one of its own, on a thread. */
  readonly compiler?: PolicyCompiler;
}

/** The policies in a directory, live. */
export interface PolicyDirectory extends PolicySource {
  close(): Promise<void>;
}

/** Editors write a file in several steps; a file's time has steps of up to 10 ms. */
const SETTLE_MS = 12;
/** A link to the directory may be turned, and a remote file system changed, without a word from the kernel. */
const LOOK_EVERY_MS = 2_000;
/** Looking takes no more than this part of the time. */
const LOOK_SHARE = 1 / 20;
/** Two changes within it may have left one time, so the files are read again. */
const SAME_TIME_MS = 1_000;
/** Files that change while they are read are read again, but not for ever. */
const MAX_ATTEMPTS = 4;

/**
 * Loads the policies and follows their files. A set with a mistake in it is refused whole: the last
 * good one stays in force, and each mistake is logged once. Resolves when the first set was looked at.
 */
export async function followPolicies(options: PolicyDirectoryOptions): Promise<PolicyDirectory> {
  const directory = new FollowedDirectory(options);
  await directory.open();
  return directory;
}

class FollowedDirectory implements PolicyDirectory {
  readonly #options: PolicyDirectoryOptions;
  readonly #compiler: PolicyCompiler;
  readonly #metrics;
  readonly #listeners = new Set<() => void>();
  #set: PolicySet | undefined;
  #fault: string | undefined;
  /** The complaints that were logged since the last good set. */
  readonly #logged = new Set<string>();
  /** Of the files that were compiled last, good or not; undefined: they are compiled again. */
  #stamp: string | undefined;
  #watcher: FSWatcher | undefined;
  #timer: Timer | undefined;
  #isSettling = false;
  #looking: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: PolicyDirectoryOptions) {
    this.#options = options;
    this.#compiler = options.compiler ?? startPolicyCompiler();
    const { metrics } = options;
    this.#metrics = {
      loads: metrics.counter(
        'trustplane_authz_policy_loads_total',
        'Sets of policies that were loaded, by result.',
        ['result'],
      ),
      rules: metrics.gauge('trustplane_authz_rules_count', 'Rules in force.'),
    };
  }

  current(): PolicySet | undefined {
    return this.#set;
  }

  fault(): string | undefined {
    return this.#fault;
  }

  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async open(): Promise<void> {
    await this.#look();
    if (!this.#isSettling) this.#sleep(LOOK_EVERY_MS);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#watcher?.close();
    await this.#compiler.close();
    await this.#looking;
  }

  /** However often files change, the next look is not put off. */
  #settle(): void {
    if (this.#isSettling) return;
    this.#isSettling = true;
    this.#sleep(SETTLE_MS);
  }

  #sleep(delayMs: number): void {
    this.#timer?.cancel();
    if (this.#isClosed) return;
    this.#timer = this.#options.clock.setTimer(delayMs, () => {
      this.#isSettling = false;
      this.#looking = this.#looking.then(async () => await this.#look());
    });
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    const { clock } = this.#options;
    const startedAt = clock.now();
    this.#watch();
    try {
      await this.#load();
    } catch (error) {
      // The thread ended, for which the files may have no fault: they are compiled again at the next look.
      const isThread = error instanceof TrustplaneError && error.code === 'ERR_INTERNAL';
      if (isThread) this.#stamp = undefined;
      if (!this.#isClosed) this.#refuse(messageOf(error));
    }
    const tookMs = clock.now() - startedAt;
    if (!this.#isSettling) this.#sleep(Math.max(LOOK_EVERY_MS, tookMs / LOOK_SHARE));
  }

  /** What was read while it changed may be half of two sets, so it does not count. */
  async #load(): Promise<void> {
    const { directory, clock } = this.#options;
    let found = await findPolicyFiles(directory);
    if (found.stamp === this.#stamp) return;
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.#compile(found);
      const now = await findPolicyFiles(directory);
      if (now.stamp === found.stamp || attempt === MAX_ATTEMPTS) {
        const isSure = clock.now() - found.changedAt > SAME_TIME_MS;
        this.#stamp = isSure && now.stamp === found.stamp ? found.stamp : undefined;
        return outcome();
      }
      found = now;
    }
  }

  /** Returns what to do with what came of it. */
  async #compile({ files }: PolicyFiles): Promise<() => void> {
    try {
      const set = await this.#compiler.compile({ files });
      return () => this.#take(set);
    } catch (error) {
      return () => {
        throw error;
      };
    }
  }

  #take(set: PolicySet): void {
    const { digest, rules } = set;
    const isNew = digest !== this.#set?.digest;
    if (!isNew && this.#fault === undefined) return;
    if (isNew) this.#set = set;
    this.#fault = undefined;
    this.#logged.clear();
    this.#metrics.loads.inc({ result: 'ok' });
    this.#metrics.rules.set(rules);
    const { directory, log } = this.#options;
    if (rules > 0) log.info({ digest, rules }, 'policies are in force');
    else log.warn({ digest, rules, directory }, 'there are no rules; everything is denied');
    this.#tell();
  }

  #refuse(fault: string): void {
    if (this.#isClosed || fault === this.#fault) return;
    this.#fault = fault;
    this.#metrics.loads.inc({ result: 'refused' });
    const { log } = this.#options;
    for (const complaint of fault.split('\n')) {
      if (this.#logged.has(complaint)) continue;
      this.#logged.add(complaint);
      log.error({ complaint, inForce: this.#set?.digest }, 'policies are refused');
    }
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  /** Each time anew: what was watched may be another directory by now. Where the kernel cannot tell, looking does. */
  #watch(): void {
    const last = this.#watcher;
    this.#watcher = undefined;
    if (this.#isClosed) return;
    try {
      const watcher = watch(this.#options.directory, () => this.#settle());
      watcher.on('error', () => watcher.close());
      this.#watcher = watcher;
    } catch {
      // There is no such directory, or the kernel has no more to give.
    }
    last?.close();
  }
}
