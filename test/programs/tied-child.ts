import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** A program that never outlives the process that started it. */
export interface TiedChild {
  readonly pid: number;
  /** The last lines of its standard output and error, at most 2,000. */
  readonly lines: readonly string[];
  /** Resolves when it has ended, with its exit code or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
  /** Calls back for each line of its standard output or error. */
  onLine(listener: (line: string) => void): void;
  kill(signal: NodeJS.Signals): void;
  /** SIGTERM, after 5 s SIGKILL; resolves when it has ended. */
  stop(): Promise<number | NodeJS.Signals>;
}

/**
 * The shell turns into the program, so the process id is the program's own. Beside it waits a
 * shell on a pipe that the parent holds open: end of file without a farewell line means that the
 * parent is dead, however it died, and ends the program.
 */
const TIE = `
end() {
  kill -TERM $$
  for _ in 1 2 3 4 5; do sleep 1; kill -0 $$ || return; done
  kill -KILL $$
}
{ read -r farewell || end; } <&3 3<&- >/dev/null 2>&1 &
exec "$@" 3<&-`;

const maxLines = 2000;

/** Starts a program tied to this process; it reads nothing from standard input. */
export function spawnTied(
  command: string,
  args: readonly string[],
  options: {
    readonly env?: NodeJS.ProcessEnv;
    readonly cwd?: string;
    /** Another user, which only root can have. */
    readonly uid?: number;
    readonly gid?: number;
  } = {},
): TiedChild {
  const child = spawn('/bin/sh', ['-c', TIE, 'sh', command, ...args], {
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    detached: true,
    ...options,
  });
  if (child.pid === undefined) throw new Error(`cannot start ${command}`);
  const ended = endOf(child);
  const { lines, listeners } = collectLines(child);
  return {
    pid: child.pid,
    lines,
    ended,
    onLine: (listener) => void listeners.add(listener),
    kill: (signal) => void child.kill(signal),
    stop: async () => await stop(child, ended),
  };
}

async function endOf(child: ChildProcess): Promise<number | NodeJS.Signals> {
  const tie = child.stdio[3];
  if (tie === null || tie === undefined || !('end' in tie))
    throw new Error('the tie is not a pipe');
  tie.on('error', () => {});
  return await new Promise((resolve) => {
    child.on('exit', () => tie.end('farewell\n'));
    child.on('close', (code, signal) => resolve(signal ?? code ?? 1));
  });
}

function collectLines(child: ChildProcess): {
  lines: string[];
  listeners: Set<(line: string) => void>;
} {
  const lines: string[] = [];
  const listeners = new Set<(line: string) => void>();
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    createInterface({ input: stream }).on('line', (line) => {
      if (lines.push(line) > maxLines) lines.shift();
      for (const listener of listeners) listener(line);
    });
  }
  return { lines, listeners };
}

async function stop(
  child: ChildProcess,
  ended: Promise<number | NodeJS.Signals>,
): Promise<number | NodeJS.Signals> {
  child.kill('SIGTERM');
  const deadline = setTimeout(() => child.kill('SIGKILL'), 5000);
  const result = await ended;
  clearTimeout(deadline);
  return result;
}
