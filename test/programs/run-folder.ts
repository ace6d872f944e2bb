import { mkdtempSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** A folder for sockets and data that goes away with `remove`, or at the latest with the process. */
export interface RunFolder {
  readonly path: string;
  remove(): Promise<void>;
}

/** The name is short: a Unix socket's path has room for 107 bytes. */
export function createRunFolder(): RunFolder {
  const folder = mkdtempSync(path.join(tmpdir(), 'tp-'));
  const atExit = (): void => rmSync(folder, { recursive: true, force: true });
  process.once('exit', atExit);
  return {
    path: folder,
    remove: async () => {
      process.off('exit', atExit);
      await rm(folder, { recursive: true, force: true });
    },
  };
}
