import { spawn } from 'node:child_process';

/** How a program ended; `code` is null when a signal ended it. */
export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Options of `runProgram`. */
export interface RunOptions {
  readonly input?: string | Uint8Array;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Default 60,000; the program is killed then. */
  readonly timeoutMs?: number;
}

/** Runs a program to its end. Rejects only when it cannot be started or takes too long. */
export async function runProgram(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Finished> {
  return await new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: 'pipe',
      env: options.env ?? process.env,
      cwd: options.cwd,
      signal: AbortSignal.timeout(options.timeoutMs ?? 60_000),
      killSignal: 'SIGKILL',
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout: text(stdout), stderr: text(stderr) }));
    child.stdin.on('error', () => {});
    child.stdin.end(options.input);
  });
}

/** Like `runProgram`, with undefined where the program does not exist or fails. */
export async function tryProgram(
  command: string,
  args: readonly string[],
  options?: RunOptions,
): Promise<Finished | undefined> {
  const finished = await runProgram(command, args, options).catch(() => undefined);
  return finished?.code === 0 ? finished : undefined;
}

function text(chunks: Buffer[]): string {
  return Buffer.concat(chunks).toString('utf8');
}
