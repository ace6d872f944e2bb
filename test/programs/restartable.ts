import { spawnTied, type TiedChild } from './tied-child.ts';

/** A program that can end and be started again as it was. */
export interface Restartable {
  /** What it has logged, over all its lives. */
  readonly lines: readonly string[];
  /** Resolves when it is ready. Throws with its last lines when it ends before. */
  start(): Promise<void>;
  /** SIGKILL; resolves when it has ended. */
  kill(): Promise<void>;
  /** SIGTERM; resolves with how it ended. */
  stop(): Promise<number | NodeJS.Signals>;
  /** Resolves when the life that runs now has ended by itself. */
  ended(): Promise<number | NodeJS.Signals>;
  /** The life that runs now, or the last one. Throws before the first. */
  current(): TiedChild;
}

/** What `createRestartable` is told. */
export interface Command {
  readonly command: string;
  readonly args: readonly string[];
  /** Resolves when the program just started does its work. */
  readonly ready: (child: TiedChild) => Promise<unknown>;
  /** Starts it on another host; default on this one. */
  readonly spawn?: (command: string, args: readonly string[]) => TiedChild;
}

/** A program that is not running yet. */
export function createRestartable(options: Command): Restartable {
  const { command, args, ready, spawn = spawnTied } = options;
  const lines: string[] = [];
  let running: TiedChild | undefined;
  const current = (): TiedChild => {
    if (running === undefined) throw new Error(`${command} was never started`);
    return running;
  };
  return {
    lines,
    async start() {
      const child = spawn(command, args);
      running = child;
      child.onLine((line) => void lines.push(line));
      const ended = child.ended.then((how) => {
        const last = child.lines.slice(-30).join('\n');
        throw new Error(`${command} ${args[0]} ended with ${how}:\n${last}`);
      });
      ended.catch(() => {});
      await Promise.race([ready(child), ended]);
    },
    async kill() {
      current().kill('SIGKILL');
      await current().ended;
    },
    stop: async () => await current().stop(),
    ended: async () => await current().ended,
    current,
  };
}
