import { open } from 'node:fs/promises';
import type { Log } from '../../ops/index.ts';
import { type Clock, messageOf, TrustplaneError } from '../../spiffe/index.ts';
import { ExecutableDigests } from './executable-digest.ts';
import { verifiedPath } from './executable-path.ts';
import { isGone } from './proc-files.ts';
import type { AttestableProcess } from './workload-attestor.ts';

/** Below the time limit of an attestor, which would lose what else it knows. */
const MAX_DIGEST_WAIT_MS = 4_000;

/** The program a process runs, as far as it is known for sure. */
export interface Executable {
  readonly path: string | undefined;
  /** Lower-case hexadecimal. */
  readonly sha256: string | undefined;
}

export interface ExecutableReaderOptions {
  readonly log: Log;
  readonly clock: Clock;
  readonly maxExecutableBytes: number;
}

/** Reads the programs of processes. Opening and reading is left to the thread pool: a file system may be slow. */
export class ExecutableReader {
  readonly #options: ExecutableReaderOptions;
  readonly #digests: ExecutableDigests;

  constructor(options: ExecutableReaderOptions) {
    this.#options = options;
    this.#digests = new ExecutableDigests(options.maxExecutableBytes, () => options.clock.now());
  }

  /**
   * All facts come from one open file, so they are of one program, whatever the process runs next. A
   * digest that takes long is left out; `again` is called when it is known.
   * @throws TrustplaneError ERR_ATTEST_PROCESS_GONE
   */
  async read({ pid, uid }: AttestableProcess, again: () => void): Promise<Executable> {
    try {
      const file = await open(`/proc/${pid}/exe`, 'r');
      let digest: Promise<string | undefined> = Promise.resolve(undefined);
      try {
        const stats = await file.stat({ bigint: true });
        const path = await verifiedPath(file.fd, stats);
        digest = this.#digests.read(file, stats, uid);
        const sha256 = await this.#inTime(digest, () => this.#digests.knows(stats) && again());
        this.#tell(pid, { path, sha256 }, Number(stats.size));
        return { path, sha256 };
      } finally {
        void digest.catch(() => {}).then(() => file.close());
      }
    } catch (error) {
      if (isGone(error)) throw noProgram(pid, error);
      this.#options.log.debug({ pid, why: messageOf(error) }, 'an executable cannot be read');
      return { path: undefined, sha256: undefined };
    }
  }

  /** What the digest is, or undefined when it takes too long; then `late` is called once it is there. */
  async #inTime(
    digest: Promise<string | undefined>,
    late: () => void,
  ): Promise<string | undefined> {
    const expired = Promise.withResolvers<undefined>();
    let isLate = false;
    const timer = this.#options.clock.setTimer(MAX_DIGEST_WAIT_MS, () => {
      isLate = true;
      expired.resolve(undefined);
      digest.then(late, () => {});
    });
    try {
      return await Promise.race([digest, expired.promise]);
    } finally {
      if (!isLate) timer.cancel();
    }
  }

  #tell(pid: number, { path, sha256 }: Executable, bytes: number): void {
    if (path !== undefined && sha256 !== undefined) return;
    this.#options.log.debug(
      { pid, path: path !== undefined, sha256: sha256 !== undefined, bytes },
      'facts about an executable are left out',
    );
  }
}

function noProgram(pid: number, cause: unknown): TrustplaneError {
  return new TrustplaneError(
    'ERR_ATTEST_PROCESS_GONE',
    `process ${pid} has exited, or runs no program`,
    { cause },
  );
}
