import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { PolicyCheck } from '../policies/index.ts';
import { messageOf, type PolicyFile, type PolicyTexts, TrustplaneError } from '../spiffe/index.ts';

/** What the thread is started with. */
export interface PolicyCheckWork {
  readonly files: readonly Pick<PolicyFile, 'name' | 'bytes'>[];
  /** For tests that name no time; milliseconds since the epoch. */
  readonly now: number;
}

export interface CheckedPolicies extends PolicyCheck {
  /** Files that came, went or became others. */
  readonly changes: readonly string[];
}

const WORKER = import.meta.url.endsWith('.ts')
  ? './policy-check-worker.ts'
  : './policy-check-worker.js';
const MAX_HEAP_MIB = 2_048;

/**
 * Checks files on a thread of its own, which ends with it, and says what they change.
 * @throws TrustplaneError ERR_POLICY when the thread could not end its work
 */
export async function checkOnThread(
  files: readonly PolicyFile[],
  before: PolicyTexts | undefined,
  now: number,
): Promise<CheckedPolicies> {
  const workerData: PolicyCheckWork = {
    files: files.map(({ name, bytes }) => ({ name, bytes })),
    now,
  };
  const worker = new Worker(new URL(WORKER, import.meta.url), {
    workerData,
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
  });
  try {
    const [check]: PolicyCheck[] = await Promise.race([once(worker, 'message'), ended(worker)]);
    if (check === undefined) throw new Error('it said nothing');
    return { ...check, changes: changedFiles(files, before) };
  } catch (cause) {
    const message = `the policies could not be checked: ${messageOf(cause)}`;
    throw new TrustplaneError('ERR_POLICY', message, { cause });
  } finally {
    await worker.terminate();
  }
}

async function ended(worker: Worker): Promise<never> {
  const [code]: unknown[] = await once(worker, 'exit');
  throw new Error(`the thread ended with ${String(code)}`);
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
