import path from 'node:path';
import type { Finished } from './run-program.ts';
import { runProgram } from './run-program.ts';
import type { TiedChild } from './tied-child.ts';
import { spawnTied } from './tied-child.ts';

const program = path.join(import.meta.dirname, '..', '..', 'bin', 'trustplane.js');

/** A running `trustplane up`. */
export interface RunningTrustplane {
  readonly pid: number;
  /** Workload API and SDS. */
  readonly socket: string;
  readonly adminSocket: string;
  /** What it has logged. */
  readonly lines: readonly string[];
  readonly ended: TiedChild['ended'];
  onLine(listener: (line: string) => void): void;
  /** Creates an entry with the command line, below the built-in agent; returns its id. */
  createEntry(spiffeId: string, ...flags: readonly string[]): Promise<string>;
  kill(signal: NodeJS.Signals): void;
  stop(): Promise<number | NodeJS.Signals>;
}

/** Runs a `trustplane` command to its end. */
export async function runTrustplane(...args: readonly string[]): Promise<Finished> {
  return await runProgram(process.execPath, [program, ...args]);
}

/**
 * Starts `trustplane up` with its data and sockets in `folder`, for the trust domain example.org
 * unless a flag says otherwise; resolves when it is ready. Starting again in the same folder finds
 * the same data.
 */
export async function launchTrustplane(
  folder: string,
  ...flags: readonly string[]
): Promise<RunningTrustplane> {
  const child = spawnTrustplane(folder, ...flags);
  await readiness(child);
  const { socket, adminSocket } = socketsIn(folder);
  return {
    pid: child.pid,
    socket,
    adminSocket,
    lines: child.lines,
    ended: child.ended,
    onLine: (listener) => child.onLine(listener),
    createEntry: async (spiffeId, ...more) => {
      const what = ['--spiffe-id', spiffeId, ...selectorsOf(more), ...more];
      return await createEntry(['--admin-socket', adminSocket, ...what]);
    },
    kill: (signal) => child.kill(signal),
    stop: async () => await child.stop(),
  };
}

/** Starts the same and does not wait for anything. */
export function spawnTrustplane(folder: string, ...flags: readonly string[]): TiedChild {
  const { socket, adminSocket } = socketsIn(folder);
  const places = ['--data-dir', path.join(folder, 'data'), '--socket', socket];
  const args = ['up', ...places, '--admin-socket', adminSocket, '--output', 'json', ...flags];
  return spawnTied(process.execPath, [program, ...args]);
}

function socketsIn(folder: string): { readonly socket: string; readonly adminSocket: string } {
  return { socket: path.join(folder, 'agent.sock'), adminSocket: path.join(folder, 'admin.sock') };
}

async function readiness(child: TiedChild): Promise<void> {
  const ready = new Promise<'ready'>((resolve) => {
    child.onLine((line) => {
      if (line.startsWith('{"ready":true')) resolve('ready');
    });
  });
  const outcome = await Promise.race([ready, child.ended]);
  if (outcome !== 'ready')
    throw new Error(`trustplane up ended with ${outcome}:\n${child.lines.join('\n')}`);
}

/** Everything here runs as one user, so that is the default selector. */
function selectorsOf(flags: readonly string[]): readonly string[] {
  return flags.includes('--selector') ? [] : ['--selector', `unix:uid:${process.getuid?.() ?? 0}`];
}

async function createEntry(args: readonly string[]): Promise<string> {
  const finished = await runTrustplane('entry', 'create', '--output', 'json', ...args);
  if (finished.code !== 0) throw new Error(`entry create failed: ${finished.stderr}`);
  const { id }: { id: string } = JSON.parse(finished.stdout);
  return id;
}
