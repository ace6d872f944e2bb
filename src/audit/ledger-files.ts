import { rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { FileName } from './ledger-file.ts';
import { NO_HASH, readHeader } from './ledger-line.ts';
import { firstLine } from './recover.ts';

/** One finished file, or the one that is added to. */
export interface LedgerFile extends FileName {
  readonly bytes: number;
  /** When its first record was written, milliseconds since the epoch. */
  readonly at: number;
  /** What its first record chains on. */
  readonly previousHash: string;
}

/** How much of the past is kept; the file that is added to is kept in any case. */
export interface Retention {
  readonly retainBytes: number;
  readonly retainMs: number;
}

/** One whose first record is damaged counts as the oldest. */
export async function describeFile(folder: string, file: FileName): Promise<LedgerFile> {
  const line = await firstLine(folder, file);
  const { at, previousHash } = (line && readHeader(line)) ?? { at: 0, previousHash: NO_HASH };
  const { size } = await stat(path.join(folder, file.name));
  return { ...file, bytes: size, at, previousHash };
}

/** How many of the files, the oldest first, are more than is kept. */
export function countExpired(
  files: readonly LedgerFile[],
  { retainBytes, retainMs }: Retention,
  now: number,
): number {
  let bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  for (const [index, file] of files.entries()) {
    const next = files[index + 1];
    // What is in a file was written before the next was begun.
    const isOld = next !== undefined && next.at < now - retainMs;
    if (next === undefined || !(isOld || bytes > retainBytes)) return index;
    bytes -= file.bytes;
  }
  return 0;
}

export async function removeFiles(folder: string, files: readonly FileName[]): Promise<void> {
  for (const { name } of files) await rm(path.join(folder, name), { force: true });
}
