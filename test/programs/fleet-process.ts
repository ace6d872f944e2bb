import path from 'node:path';
import { runTrustplane } from './launch-trustplane.ts';
import { spawnTied, type TiedChild } from './tied-child.ts';

const program = path.join(import.meta.dirname, '..', '..', 'bin', 'trustplane.js');

/** One role of a fleet, which can be killed and started again in the same place. */
export interface FleetProcess {
  /** All it has logged and printed. */
  readonly lines: readonly string[];
  /** Of the last start. Throws before the first. */
  readonly pid: number;
  /** Resolves with the line it prints when it is ready. */
  start(): Promise<Readonly<Record<string, unknown>>>;
  /** SIGKILL; resolves when it has ended. */
  kill(): Promise<void>;
  /** SIGTERM; resolves when it has ended. */
  stop(): Promise<void>;
}

/** `spawn` starts it on another host; default on this one. */
export function createFleetProcess(
  args: readonly string[],
  spawn: (command: string, args: readonly string[]) => TiedChild = spawnTied,
): FleetProcess {
  const lines: string[] = [];
  let running: TiedChild | undefined;
  return {
    lines,
    get pid() {
      if (running === undefined) throw new Error(`trustplane ${args[0]} was never started`);
      return running.pid;
    },
    async start() {
      const child = spawn(process.execPath, [program, ...args, '--output', 'json']);
      running = child;
      const ready = new Promise<string>((resolve) => {
        child.onLine((line) => {
          lines.push(line);
          if (line.startsWith('{"ready":true')) resolve(line);
        });
      });
      const outcome = await Promise.race([ready, child.ended]);
      if (typeof outcome === 'string' && outcome.startsWith('{')) return JSON.parse(outcome);
      throw new Error(`trustplane ${args[0]} ended with ${outcome}:\n${child.lines.join('\n')}`);
    },
    async kill() {
      running?.kill('SIGKILL');
      await running?.ended;
    },
    async stop() {
      await running?.stop();
    },
  };
}

/** Runs an administrator's command; returns what it prints. */
export async function runAdmin(adminSocket: string, ...args: readonly string[]): Promise<string> {
  const finished = await runTrustplane(...args, '--admin-socket', adminSocket);
  if (finished.code === 0) return finished.stdout;
  throw new Error(`trustplane ${args.join(' ')}: ${finished.stderr}`);
}

/** The same with `--output json`. */
export async function askServer(
  adminSocket: string,
  ...args: readonly string[]
): Promise<Readonly<Record<string, unknown>>> {
  return JSON.parse(await runAdmin(adminSocket, ...args, '--output', 'json'));
}
