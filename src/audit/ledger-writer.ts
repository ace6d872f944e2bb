import { mkdir } from 'node:fs/promises';
import { syncFolder } from '../ops/index.ts';
import type { Clock, Timer } from '../spiffe/index.ts';
import type { Link } from './chain.ts';
import { type AppendFile, type FileName, fileNameOf, type OpenAppendFile } from './ledger-file.ts';
import {
  countExpired,
  describeFile,
  type LedgerFile,
  type Retention,
  removeFiles,
} from './ledger-files.ts';
import { type Head, HeadFile, type HeadPlace } from './ledger-head.ts';
import { buildLine, hashLine } from './ledger-line.ts';
import { type Recovered, recover } from './recover.ts';

/** Until the head survives the end of the machine, too. */
const HEAD_SYNC_MS = 1_000;

export interface LedgerWriterOptions extends HeadPlace {
  /** Made (0700) when missing. */
  readonly folder: string;
  /** A file that has as much is followed by another. */
  readonly maxFileBytes: number;
  readonly clock: Clock;
  readonly openFile: OpenAppendFile;
}

/** What is on disk, and acknowledged. */
export interface Committed {
  readonly head: Head;
  /** The oldest first; the last is the one that is added to, once there is a record in it. */
  readonly files: readonly LedgerFile[];
  /** The file that is added to, and how much of it counts. */
  readonly open: { readonly name: string; readonly bytes: number; readonly lines: number };
}

/** The files of a ledger and its head; one write at a time. */
export class LedgerWriter {
  readonly #options: LedgerWriterOptions;
  readonly #head: HeadFile;
  #file: AppendFile;
  #committed: Committed;
  #headSync: Timer | undefined;

  private constructor(
    options: LedgerWriterOptions,
    head: HeadFile,
    file: AppendFile,
    committed: Committed,
  ) {
    this.#options = options;
    this.#head = head;
    this.#file = file;
    this.#committed = committed;
  }

  /** Goes on where the ledger ends, without what a crash left behind. @throws what the disk says */
  static async open(
    options: LedgerWriterOptions,
  ): Promise<{ readonly writer: LedgerWriter; readonly recovered: Recovered }> {
    const { folder, openFile } = options;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const recovered = await recover(folder, options);
    const { first, last, name, bytes, lines, reading, tornBytes, damage } = recovered;
    const head: Head = { first, last };
    const headFile =
      reading.head === undefined || damage !== undefined
        ? await HeadFile.create(options, head)
        : await HeadFile.open(options, reading);
    const file = await openFile(folder, name);
    await syncFolder(folder);
    if (tornBytes > 0 || file.bytes !== bytes) await file.truncate(bytes);
    // What was on disk, and the head did not say so yet. Else opening changes nothing.
    if (reading.head?.last.hash !== last.hash) await headFile.write(head);
    const kept = await removeLeftovers(folder, recovered);
    const known = kept.filter((file) => file.name !== name || bytes > 0);
    const files = await Promise.all(known.map((one) => describeFile(folder, one)));
    const committed = { head, files, open: { name, bytes, lines } };
    return { writer: new LedgerWriter(options, headFile, file, committed), recovered };
  }

  get committed(): Committed {
    return this.#committed;
  }

  /**
   * Adds one record for each event (JSON); resolves when they are on disk and the head says so, with their lines.
   * @throws what the disk says; then none is there
   */
  async append(events: readonly string[], at: number): Promise<readonly string[]> {
    const { lines, last } = this.#build(events, at);
    const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
    const { open } = this.#committed;
    if (open.bytes > 0 && open.bytes + bytes.length > this.#options.maxFileBytes) {
      await this.#rotate();
    }
    const before = this.#file.bytes;
    await this.#file.append(bytes);
    const head = { ...this.#committed.head, last };
    try {
      await this.#head.write(head);
    } catch (error) {
      await this.#file.truncate(before);
      throw error;
    }
    this.#commit(head, bytes.length, lines.length, at);
    return lines;
  }

  /** Removes the oldest files that are more than is kept; the chain begins behind them then. */
  async removeExpired(retention: Retention): Promise<readonly LedgerFile[]> {
    const { files, head } = this.#committed;
    const expired = files.slice(0, countExpired(files, retention, this.#options.clock.now()));
    const oldest = files[expired.length];
    if (expired.length === 0 || oldest === undefined) return [];
    const { sequenceNumber, previousHash } = oldest;
    const later = { ...head, first: { sequenceNumber, previousHash } };
    await this.#head.write(later);
    await this.#head.sync();
    this.#committed = { ...this.#committed, head: later, files: files.slice(expired.length) };
    await removeFiles(this.#options.folder, expired);
    return expired;
  }

  async close(): Promise<void> {
    this.#headSync?.cancel();
    await this.#head.sync().catch(() => {});
    await this.#head.close();
    await this.#file.close();
  }

  #build(events: readonly string[], at: number): { readonly lines: string[]; readonly last: Link } {
    let { last } = this.#committed.head;
    const lines = events.map((event) => {
      const sequenceNumber = last.sequenceNumber + 1;
      const line = buildLine({ sequenceNumber, at, previousHash: last.hash, event });
      last = { sequenceNumber, hash: hashLine(line) };
      return line;
    });
    return { lines, last };
  }

  #commit(head: Head, bytes: number, lines: number, at: number): void {
    const { open, files, head: before } = this.#committed;
    const { name } = open;
    const now = { name, bytes: open.bytes + bytes, lines: open.lines + lines };
    const { sequenceNumber, hash } = before.last;
    const begun = { name, sequenceNumber: sequenceNumber + 1, at, previousHash: hash };
    const known = open.bytes === 0 ? begun : files.at(-1);
    const finished = open.bytes === 0 ? files : files.slice(0, -1);
    const current = known === undefined ? [] : [{ ...known, bytes: now.bytes }];
    this.#committed = { head, files: [...finished, ...current], open: now };
    this.#headSync ??= this.#options.clock.setTimer(HEAD_SYNC_MS, () => {
      this.#headSync = undefined;
      this.#head.sync().catch(() => {});
    });
  }

  /** The next record begins a file. */
  async #rotate(): Promise<void> {
    const { folder, openFile } = this.#options;
    const name = fileNameOf(this.#committed.head.last.sequenceNumber + 1);
    const file = await openFile(folder, name);
    try {
      // Of one that could not be used the last time.
      if (file.bytes > 0) await file.truncate(0);
      await syncFolder(folder);
    } catch (error) {
      await file.close();
      throw error;
    }
    await this.#head.sync();
    const finished = this.#file;
    this.#file = file;
    this.#committed = { ...this.#committed, open: { name, bytes: 0, lines: 0 } };
    await finished.close();
  }
}

/** Files before the first record that counts were to be removed when a crash came. */
async function removeLeftovers(
  folder: string,
  { files, first, damage }: Recovered,
): Promise<readonly FileName[]> {
  if (damage !== undefined) return files;
  const begin = files.findLastIndex((file) => file.sequenceNumber <= first.sequenceNumber);
  await removeFiles(folder, files.slice(0, Math.max(0, begin)));
  return files.slice(Math.max(0, begin));
}
