import { installWheels } from './pip.ts';
import type { Finished } from './run-program.ts';
import { runProgram } from './run-program.ts';

/** Python with py-spiffe and pyOpenSSL importable. */
export interface PySpiffe {
  /** The environment to run `python3` in. */
  readonly env: NodeJS.ProcessEnv;
  /** Runs a Python program text to its end. */
  run(
    program: string,
    args?: readonly string[],
    options?: { readonly input?: string | Uint8Array; readonly timeoutMs?: number },
  ): Promise<Finished>;
}

/** Installs py-spiffe into the project's cache unless it is there. Throws ProgramMissingError. */
export async function findPySpiffe(): Promise<PySpiffe> {
  const folder = await installWheels('py-spiffe.txt');
  const quiet = { PYTHONDONTWRITEBYTECODE: '1', PYTHONWARNINGS: 'ignore' };
  const env = { ...process.env, PYTHONPATH: folder, ...quiet };
  return {
    env,
    run: async (program, args = [], options = {}) =>
      await runProgram('python3', ['-c', program, ...args], { ...options, env }),
  };
}
