import { hashLine, type LineHeader, readHeader } from './ledger-line.ts';
import type { FileLine } from './read-lines.ts';

/** What a line chains on. */
export interface Link {
  /** Of the line before. */
  readonly sequenceNumber: number;
  readonly hash: string;
}

/** One line, compared with what is due. */
export interface CheckedLine {
  readonly line: FileLine;
  /** Undefined: it is no line of a ledger. */
  readonly header: LineHeader | undefined;
  readonly link: Link | undefined;
  /** Why it is not the one that was written after the one before. */
  readonly fault: string | undefined;
}

/** Follows a chain, line by line; after a fault it goes on from what is there, so that each is said once. */
export class Chain {
  #due: Link | undefined;

  /** @param due what the first line has to chain on; undefined: anything */
  constructor(due: Link | undefined) {
    this.#due = due;
  }

  /** What the next line has to chain on. */
  get due(): Link | undefined {
    return this.#due;
  }

  check(line: FileLine): CheckedLine {
    const header = readHeader(line.bytes);
    if (header === undefined || !line.isWhole) {
      this.#due = undefined;
      const fault = header === undefined ? 'it is no line of a ledger' : 'it has no line feed';
      return { line, header: undefined, link: undefined, fault };
    }
    const fault = faultOf(header, this.#due);
    const link = { sequenceNumber: header.sequenceNumber, hash: hashLine(line.bytes) };
    this.#due = link;
    return { line, header, link, fault };
  }
}

function faultOf(header: LineHeader, due: Link | undefined): string | undefined {
  if (due === undefined) return undefined;
  const expected = due.sequenceNumber + 1;
  if (header.sequenceNumber !== expected) {
    return `expected record ${expected}; found record ${header.sequenceNumber}`;
  }
  if (header.previousHash === due.hash) return undefined;
  return `the hash in it is not that of record ${due.sequenceNumber}, the line before it: one of the two was changed`;
}
