import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import { type FileName, listFiles } from './ledger-file.ts';
import { isWanted, type LedgerFilter, textsOf } from './ledger-filter.ts';
import { hashLine, parseRecord } from './ledger-line.ts';
import type { LocatedRecord } from './ledger-record.ts';
import { type FileLine, readLines } from './read-lines.ts';

/** What is read: files, the oldest first, and how much of the last one counts. */
export interface Extent {
  readonly folder: string;
  readonly files: readonly FileName[];
  readonly open?: { readonly name: string; readonly bytes: number } | undefined;
}

/**
 * The records that the filter takes, the oldest first; one chunk of one file in memory at a time. Lines that
 * cannot hold what is wanted are not parsed. Chains are not checked here.
 * @throws TrustplaneError ERR_AUDIT_DAMAGED, ERR_AUDIT_READ
 */
export async function* readLedger(
  { folder, files, open }: Extent,
  filter: LedgerFilter,
): AsyncGenerator<LocatedRecord, void, undefined> {
  const texts = textsOf(filter).map((text) => Buffer.from(text));
  const anyOf = filter.anyOf?.map((text) => Buffer.from(JSON.stringify(text)));
  for (const { name } of files) {
    const end = open?.name === name ? open.bytes : Infinity;
    for await (const lines of readFile(folder, name, end)) {
      for (const line of lines) {
        if (!texts.every((text) => line.bytes.includes(text))) continue;
        if (anyOf?.some((text) => line.bytes.includes(text)) === false) continue;
        const record = locate(name, line);
        if (isWanted(filter, record)) yield record;
      }
      // Others have their turn.
      await setImmediate();
    }
  }
}

/** Of a ledger that nobody has open, or of one file with lines of one. @throws TrustplaneError ERR_AUDIT_DAMAGED, ERR_AUDIT_READ */
export async function* readStored(
  folder: string,
  filter: LedgerFilter,
  file?: string,
): AsyncGenerator<LocatedRecord, void, undefined> {
  const alone = file === undefined ? [] : [{ name: file, sequenceNumber: 0 }];
  const files = file === undefined ? await listFiles(folder) : alone;
  yield* readLedger({ folder, files }, filter);
}

async function* readFile(
  folder: string,
  name: string,
  end: number,
): AsyncGenerator<readonly FileLine[], void, undefined> {
  try {
    yield* readLines(path.join(folder, name), end);
  } catch (error) {
    // Removed meanwhile, because it was the oldest.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return;
    if (error instanceof TrustplaneError) throw error;
    throw new TrustplaneError('ERR_AUDIT_READ', `${name} cannot be read: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** @throws TrustplaneError ERR_AUDIT_DAMAGED */
export function locate(
  file: string,
  { bytes, number }: Pick<FileLine, 'bytes' | 'number'>,
): LocatedRecord {
  try {
    const text = bytes.toString('utf8');
    return { ...parseRecord(bytes), hash: hashLine(bytes), text, file, line: number };
  } catch (error) {
    throw new TrustplaneError(
      'ERR_AUDIT_DAMAGED',
      `${file}:${number}: ${messageOf(error).slice(0, 500)}; see trustplane audit verify`,
      { cause: error },
    );
  }
}
