import { type FileHandle, open } from 'node:fs/promises';
import type { Log } from '../../ops/index.ts';
import { type Clock, messageOf, TrustplaneError } from '../../spiffe/index.ts';
import { ExecutableDigests } from './executable-digest.ts';
import { verifiedPath } from './executable-path.ts';
import { isGone } from './proc-files.ts';

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
   * All facts come from one open file, so they are of one program, whatever the process runs next.
   * @throws TrustplaneError ERR_ATTEST_PROCESS_GONE
   */
  async read(pid: number): Promise<Executable> {
    try {
      await using file = await open(`/proc/${pid}/exe`, 'r');
      return await this.#describe(pid, file);
    } catch (error) {
      if (isGone(error)) throw noProgram(pid, error);
      this.#options.log.debug({ pid, why: messageOf(error) }, 'an executable cannot be read');
      return { path: undefined, sha256: undefined };
    }
  }

  async #describe(pid: number, file: FileHandle): Promise<Executable> {
    const stats = await file.stat({ bigint: true });
    const path = await verifiedPath(file.fd, stats);
    const sha256 = await this.#digests.read(file, stats);
    if (path === undefined || sha256 === undefined) {
      this.#options.log.debug(
        { pid, path: path !== undefined, sha256: sha256 !== undefined, bytes: Number(stats.size) },
        'facts about an executable are left out',
      );
    }
    return { path, sha256 };
  }
}

function noProgram(pid: number, cause: unknown): TrustplaneError {
  return new TrustplaneError(
    'ERR_ATTEST_PROCESS_GONE',
    `process ${pid} has exited, or runs no program`,
    { cause },
  );
}
