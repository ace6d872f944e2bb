import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { EnvoyAdmin } from './envoy-admin.ts';
import { createEnvoyAdmin } from './envoy-admin.ts';
import { containerCommand } from './envoy-image.ts';
import type { Envoy } from './find-envoy.ts';
import { findEnvoy } from './find-envoy.ts';
import { runProgram } from './run-program.ts';
import type { TiedChild } from './tied-child.ts';
import { spawnTied } from './tied-child.ts';

/** A running Envoy: a process, or a container behind the same interface. */
export interface RunningEnvoy extends EnvoyAdmin {
  readonly name: string;
  /** Envoy's own process id; in a container, that of the program in front of it. */
  readonly pid: number;
  /** What it has logged. */
  readonly lines: readonly string[];
  readonly ended: TiedChild['ended'];
  onLine(listener: (line: string) => void): void;
  stop(): Promise<void>;
}

/** Options of `launchEnvoy`. */
export interface LaunchOptions {
  /** The bootstrap; its admin address is the pipe `<folder>/<name>.admin`. */
  readonly bootstrap: string;
  /** Holds the bootstrap and its sockets; the only folder that a container sees beside `folders`. */
  readonly folder: string;
  readonly name: string;
  /** Other folders with sockets that it dials. */
  readonly folders?: readonly string[];
  /** Starts it on another host; default on this one. A container stays here. */
  readonly spawn?: (command: string, args: readonly string[]) => TiedChild;
}

/** Starts an Envoy that cannot outlive this process, with no port and no shared memory of its own. */
export async function launchEnvoy(options: LaunchOptions): Promise<RunningEnvoy> {
  const { folder, name, folders = [], spawn = spawnTied } = options;
  const envoy = await findEnvoy();
  const file = path.join(folder, `${name}.yaml`);
  await writeFile(file, options.bootstrap);
  const args = ['--config-path', file, '--disable-hot-restart', '--concurrency', '1'];
  const [command, ...rest] = commandOf(envoy, [folder, ...folders]);
  const child = spawn(command, [...rest, ...args]);
  return {
    ...createEnvoyAdmin(adminSocketOf(folder, name), child),
    name,
    pid: child.pid,
    lines: child.lines,
    ended: child.ended,
    onLine: (listener) => child.onLine(listener),
    stop: async () => void (await child.stop()),
  };
}

/** Asks Envoy itself whether a bootstrap is good; resolves with its complaint, or undefined. */
export async function validateBootstrap(
  bootstrap: string,
  folder: string,
): Promise<string | undefined> {
  const file = path.join(folder, 'validate.yaml');
  await writeFile(file, bootstrap);
  const [command, ...args] = commandOf(await findEnvoy(), [folder]);
  const level = ['--log-level', 'error'];
  const finished = await runProgram(command, [...args, '--mode', 'validate', '-c', file, ...level]);
  return finished.code === 0 ? undefined : `${finished.stdout}${finished.stderr}`;
}

/** Where the admin interface of an Envoy listens. */
export function adminSocketOf(folder: string, name: string): string {
  return path.join(folder, `${name}.admin`);
}

function commandOf(envoy: Envoy, folders: readonly string[]): readonly [string, ...string[]] {
  return envoy.kind === 'binary' ? [envoy.file] : containerCommand(envoy.image, folders);
}
