import { type Finished, runProgram, tryProgram } from './run-program.ts';

/** A file system in memory that only the program sees; `options` as of mount(8) for tmpfs. */
export interface TestDisk {
  /** An empty directory. */
  readonly path: string;
  readonly options: string;
}

/**
 * Runs a TypeScript program in which `disk` is mounted. Undefined where the machine does not let
 * this user mount anything, not even in a name space of its own.
 */
export async function onDisk(
  disk: TestDisk,
  program: string,
  args: readonly string[],
): Promise<Finished | undefined> {
  const isolated = ['--user', '--map-root-user', '--mount'];
  const inside = 'mount -t tmpfs -o "$1" none "$0" && shift && exec "$@"';
  const command = [...isolated, 'sh', '-c', inside, disk.path, disk.options];
  if ((await tryProgram('unshare', [...command, 'true'])) === undefined) return undefined;
  return await runProgram('unshare', [...command, process.execPath, program, ...args]);
}
