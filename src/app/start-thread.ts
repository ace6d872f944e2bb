import { Worker, type WorkerOptions } from 'node:worker_threads';

/** A thread's code, and what it may take. */
export interface ThreadKind {
  readonly file: URL;
  readonly options: WorkerOptions;
}

const suffix = import.meta.url.endsWith('.ts') ? '.ts' : '.js';

/** The thread that answers checks. */
export const authzThread: ThreadKind = {
  file: new URL(`./authz-worker${suffix}`, import.meta.url),
  options: {
    execArgv: [],
    // Descriptors of peers are opened and closed beside Node.
    trackUnmanagedFds: false,
    // What a check makes lives as long as the check.
    resourceLimits: { maxYoungGenerationSizeMb: 8 },
  },
};

/** What 32 MiB of policies take at most, with room: a thread that has more ends, and nothing else. */
const forPolicies: WorkerOptions = {
  execArgv: [],
  resourceLimits: { maxOldGenerationSizeMb: 2_048 },
};

/** The thread that compiles policies. */
export const compilerThread: ThreadKind = {
  file: new URL(`./policy-worker${suffix}`, import.meta.url),
  options: forPolicies,
};

/** The thread that checks policies before they are applied. */
export const checkerThread: ThreadKind = {
  file: new URL(`./policy-check-worker${suffix}`, import.meta.url),
  options: forPolicies,
};

const begun = new Map<ThreadKind, Worker>();

/** Begins to load the code of a thread that will soon be started; it keeps no process alive. */
export function beginThread(kind: ThreadKind): void {
  const worker = create(kind);
  worker.unref();
  // One that has ended is no use.
  worker.once('error', () => begun.delete(kind));
  begun.set(kind, worker);
}

/** A thread that waits for its first message. */
export function startThread(kind: ThreadKind): Worker {
  const worker = begun.get(kind);
  begun.delete(kind);
  worker?.ref();
  return worker ?? create(kind);
}

function create({ file, options }: ThreadKind): Worker {
  return new Worker(file, options);
}
