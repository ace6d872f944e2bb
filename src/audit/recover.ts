import path from 'node:path';
import { Chain, type Link } from './chain.ts';
import { type FileName, fileNameOf, listFiles } from './ledger-file.ts';
import { type Head, type HeadPlace, type HeadReading, readHead } from './ledger-head.ts';
import { NO_HASH, readHeader } from './ledger-line.ts';
import { type FileLine, readLines } from './read-lines.ts';
import { MAX_TAIL_BYTES } from './verify-ledger.ts';

/** Where the ledger goes on. */
export interface Recovered {
  readonly reading: HeadReading;
  readonly files: readonly FileName[];
  readonly first: Head['first'];
  /** What the next record chains on. */
  readonly last: Link;
  /** Of the file that is added to; it may not be there yet. */
  readonly name: string;
  /** Of it, what counts. */
  readonly bytes: number;
  readonly lines: number;
  /** What a crash left behind that was never acknowledged, and is to be cut off. */
  readonly tornBytes: number;
  /** What is not as it was written; then the ledger goes on in a file of its own. */
  readonly damage: string | undefined;
  readonly isNew: boolean;
}

/**
 * Looks at the end of the ledger: what the head vouches for has to be there, and what lies behind it is either good
 * or what a crash cut off. Nothing is changed.
 * @throws TrustplaneError ERR_AUDIT_READ, ERR_FILE_*; Error when a file cannot be read
 */
export async function recover(folder: string, place: HeadPlace): Promise<Recovered> {
  const reading = await readHead(place);
  const files = await listFiles(folder);
  const { head, fault } = reading;
  const tail = new Tail(head);
  await tail.read(folder, files);
  const goneHead = head === undefined && files.length > 0 ? 'the head record is gone' : undefined;
  const damage = fault ?? goneHead ?? tail.damage;
  const last = damage === undefined ? tail.end : endAfterDamage(tail.end, head, files);
  const common = {
    reading,
    files,
    last,
    damage,
    first: head?.first ?? (await firstOf(folder, files[0], last)),
    isNew: files.length === 0 && head === undefined && fault === undefined,
  };
  const name = files.at(-1)?.name;
  return damage !== undefined || name === undefined
    ? { ...common, name: fileNameOf(last.sequenceNumber + 1), bytes: 0, lines: 0, tornBytes: 0 }
    : { ...common, name, bytes: tail.bytes, lines: tail.lines, tornBytes: tail.tornBytes };
}

/** The last files, from the one that the head's record is in. */
class Tail {
  readonly #head: Head | undefined;
  #state: 'before the head' | 'behind the head' | 'torn' = 'before the head';
  #link: Link | undefined;
  #damage: string | undefined;
  /** Of the last file, what counts. */
  bytes = 0;
  lines = 0;
  tornBytes = 0;

  constructor(head: Head | undefined) {
    this.#head = head;
    if (head?.last.sequenceNumber === 0) this.#state = 'behind the head';
  }

  get end(): Link {
    return this.#link ?? this.#head?.last ?? { sequenceNumber: 0, hash: NO_HASH };
  }

  get damage(): string | undefined {
    if (this.#damage !== undefined) return this.#damage;
    if (this.tornBytes > MAX_TAIL_BYTES) return `its last ${this.tornBytes} bytes are no records`;
    if (this.#head === undefined || this.#state !== 'before the head') return undefined;
    const { sequenceNumber } = this.#head.last;
    const there = this.#link?.sequenceNumber ?? 'none';
    return `record ${sequenceNumber} was written last; the last one that is there is ${there}`;
  }

  async read(folder: string, files: readonly FileName[]): Promise<void> {
    const upTo = this.#head?.last.sequenceNumber ?? Infinity;
    const begin = files.findLastIndex(({ sequenceNumber }) => sequenceNumber <= upTo);
    const chain = new Chain(undefined);
    for (const { name, sequenceNumber } of files.slice(Math.max(0, begin))) {
      if (this.#state === 'torn')
        this.#damage ??= `${name}: it follows a file that was not finished`;
      this.bytes = 0;
      this.lines = 0;
      for await (const lines of readLines(path.join(folder, name))) {
        for (const line of lines) this.#take(name, sequenceNumber, line, chain);
      }
    }
  }

  #take(name: string, begins: number, line: FileLine, chain: Chain): void {
    const { link, fault, header } = chain.check(line);
    const isMisnamed =
      line.number === 1 && header !== undefined && header.sequenceNumber !== begins;
    const what = isMisnamed ? 'its first record is not the one it is called after' : fault;
    const length = line.bytes.length + (line.isWhole ? 1 : 0);
    if (this.#state === 'behind the head' && what !== undefined) this.#state = 'torn';
    if (this.#state === 'torn') {
      this.tornBytes += length;
      return;
    }
    this.bytes += length;
    this.lines += 1;
    if (what !== undefined) this.#damage ??= `${name}:${line.number}: ${what}`;
    if (link === undefined) return;
    this.#link = link;
    this.#compare(name, line, link);
  }

  #compare(name: string, { number }: FileLine, link: Link): void {
    const last = this.#head?.last;
    if (link.sequenceNumber !== last?.sequenceNumber) return;
    this.#state = 'behind the head';
    if (link.hash !== last.hash) {
      this.#damage ??= `${name}:${number}: it is another record than the head record names`;
    }
  }
}

/** No record has the number of another, and what the head vouches for stays what is chained on. */
function endAfterDamage(end: Link, head: Head | undefined, files: readonly FileName[]): Link {
  const known =
    head !== undefined && head.last.sequenceNumber >= end.sequenceNumber ? head.last : end;
  const lastFile = files.at(-1)?.sequenceNumber ?? 0;
  return lastFile > known.sequenceNumber ? { ...known, sequenceNumber: lastFile } : known;
}

/** Where the chain begins when no head says it. */
async function firstOf(
  folder: string,
  file: FileName | undefined,
  last: Link,
): Promise<Head['first']> {
  const header = file && readHeader((await firstLine(folder, file)) ?? new Uint8Array());
  if (header !== undefined) {
    return { sequenceNumber: header.sequenceNumber, previousHash: header.previousHash };
  }
  return { sequenceNumber: last.sequenceNumber + 1, previousHash: last.hash };
}

/** Undefined: the file is empty, or holds none. */
export async function firstLine(
  folder: string,
  { name }: FileName,
): Promise<Uint8Array | undefined> {
  for await (const [line] of readLines(path.join(folder, name))) {
    return line?.isWhole === true ? line.bytes : undefined;
  }
  return undefined;
}
