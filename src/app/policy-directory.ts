import { type FSWatcher, watch } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Plan } from '../authz/index.ts';
import type { Log, Metrics } from '../ops/index.ts';
import { type Clock, messageOf, type Timer, TrustplaneError } from '../spiffe/index.ts';
import { loadPolicies } from './load-policies.ts';

export interface PolicyDirectoryOptions {
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** The policies in a directory, live. */
export interface PolicyDirectory {
  /** Undefined until a set of policies was good. */
  current(): Plan | undefined;
  /** Why the files as they are now are not in force; undefined when they are. */
  fault(): string | undefined;
  close(): Promise<void>;
}

/** Editors write a file in several steps. */
const SETTLE_MS = 10;
/** A directory that is a link may be replaced without a word from the kernel. */
const LOOK_EVERY_MS = 2_000;
const MAX_FILES = 10_000;

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
  readonly #metrics;
  #plan: Plan | undefined;
  #fault: string | undefined;
  /** Names, sizes and times of the files that were loaded last, good or not. */
  #seen: string | undefined;
  #watcher: FSWatcher | undefined;
  #timer: Timer | undefined;
  #loading: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: PolicyDirectoryOptions) {
    this.#options = options;
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

  current(): Plan | undefined {
    return this.#plan;
  }

  fault(): string | undefined {
    return this.#fault;
  }

  async open(): Promise<void> {
    await this.#look();
    this.#sleep(LOOK_EVERY_MS);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#watcher?.close();
    await this.#loading;
  }

  #sleep(delayMs: number): void {
    if (this.#isClosed) return;
    this.#timer?.cancel();
    this.#timer = this.#options.clock.setTimer(delayMs, () => {
      this.#loading = this.#loading.then(async () => await this.#look());
      void this.#loading.finally(() => this.#sleep(LOOK_EVERY_MS));
    });
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    this.#watch();
    try {
      const files = await listPolicyFiles(this.#options.directory);
      const seen = await stampOf(files);
      if (seen === this.#seen) return;
      this.#seen = seen;
      this.#take((await loadPolicies(files)).plan);
    } catch (error) {
      this.#refuse(messageOf(error));
    }
  }

  #take(plan: Plan): void {
    const { log } = this.#options;
    this.#plan = plan;
    this.#fault = undefined;
    this.#metrics.loads.inc({ result: 'ok' });
    this.#metrics.rules.set(plan.rules.length);
    log.info({ digest: plan.digest, rules: plan.rules.length }, 'policies are in force');
  }

  #refuse(fault: string): void {
    if (fault === this.#fault) return;
    this.#fault = fault;
    this.#metrics.loads.inc({ result: 'refused' });
    const { log } = this.#options;
    for (const complaint of fault.split('\n')) {
      log.error({ complaint, inForce: this.#plan?.digest }, 'policies are refused');
    }
  }

  /** Where the kernel cannot tell, looking now and then does. */
  #watch(): void {
    if (this.#watcher !== undefined || this.#isClosed) return;
    try {
      const watcher = watch(this.#options.directory, () => this.#sleep(SETTLE_MS));
      const forget = (): void => {
        watcher.close();
        this.#watcher = undefined;
      };
      watcher.on('error', forget);
      watcher.on('close', forget);
      this.#watcher = watcher;
    } catch {
      this.#watcher = undefined;
    }
  }
}

/** Hidden files are none: editors keep their own beside ours. @throws TrustplaneError ERR_POLICY */
async function listPolicyFiles(directory: string): Promise<readonly string[]> {
  const names = await readdir(directory).catch((cause: unknown) => {
    throw new TrustplaneError(
      'ERR_POLICY',
      `the policy directory cannot be read: ${messageOf(cause)}`,
      { cause },
    );
  });
  const files = names.filter((name) => /^[^.].*\.ya?ml$/u.test(name)).sort();
  if (files.length <= MAX_FILES) return files.map((name) => path.join(directory, name));
  throw new TrustplaneError(
    'ERR_POLICY',
    `${directory} has ${files.length} policy files; at most ${MAX_FILES} are read`,
  );
}

async function stampOf(files: readonly string[]): Promise<string> {
  const stamps = files.map(async (file) => {
    const { ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
    return `${file} ${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  });
  return (await Promise.all(stamps)).join('\n');
}
