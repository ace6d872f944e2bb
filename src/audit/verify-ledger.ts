import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { type LedgerFinding, messageOf } from '../spiffe/index.ts';
import { Chain, type CheckedLine, type Link } from './chain.ts';
import { type FileName, listFiles } from './ledger-file.ts';
import type { Head } from './ledger-head.ts';
import { readLines } from './read-lines.ts';
import type { Verification } from './verification.ts';

/** More are only counted. */
const MAX_FINDINGS = 100;
/** One batch at most, and what else of it may be behind the head after a crash. */
export const MAX_TAIL_BYTES = 2_097_152;

const BROKEN = /^\{"kind":"ledger","what":"broken",/u;

export interface VerifyOptions {
  readonly folder: string;
  /** Both ends; undefined: not known, and then only what lies between is checked. */
  readonly head: Head | undefined;
  /** What is wrong with the head itself. */
  readonly headFault?: string | undefined;
  /** The file that is being added to, and how much of it counts; what is behind is not written yet. */
  readonly open?: { readonly name: string; readonly bytes: number } | undefined;
}

/**
 * Reads every line of every file and compares it with its hash, its number, and both ends with the head. What is
 * wrong is found, not thrown.
 * @throws TrustplaneError ERR_AUDIT_READ when the folder cannot be read
 */
export async function verifyLedger(options: VerifyOptions): Promise<Verification> {
  return await new Verifier(options).run();
}

/** A file alone, as `audit export` writes one: the chain from its first line on. */
export async function verifyFile(file: string): Promise<Verification> {
  const verifier = new Verifier({ folder: path.dirname(file), head: undefined });
  return await verifier.runOver([{ name: path.basename(file), sequenceNumber: 0 }]);
}

class Verifier {
  readonly #options: VerifyOptions;
  readonly #findings: LedgerFinding[] = [];
  #unsaid = 0;
  #records = 0;
  #bytes = 0;
  #first: Verification['first'];
  #last: Verification['last'];
  #chain: Chain;
  #hasMetHead = false;
  /** Behind the head a crash may have left what nobody was told of. */
  #isInTail = false;
  #tailBytes = 0;

  constructor(options: VerifyOptions) {
    this.#options = options;
    const { head } = options;
    this.#chain = new Chain(
      head && {
        sequenceNumber: head.first.sequenceNumber - 1,
        hash: head.first.previousHash,
      },
    );
    this.#hasMetHead = head?.last.sequenceNumber === 0;
  }

  async run(): Promise<Verification> {
    const { folder, head, headFault } = this.#options;
    if (headFault !== undefined) this.#find('', 0, headFault);
    const from = head?.first.sequenceNumber ?? 0;
    const files = await listFiles(folder);
    // What was to be removed when a crash came.
    const counted = files.filter(
      (_, index) => (files[index + 1]?.sequenceNumber ?? Infinity) > from,
    );
    return await this.runOver(counted);
  }

  async runOver(files: readonly FileName[]): Promise<Verification> {
    for (const [index, file] of files.entries()) {
      await this.#checkFile(file, index === files.length - 1);
    }
    this.#checkEnd(files.at(-1)?.name ?? '');
    const { head } = this.#options;
    return {
      findings: this.#allFindings(),
      files: files.length,
      records: this.#records,
      bytes: this.#bytes,
      first: this.#first,
      last: this.#last,
      isAnchored: head !== undefined,
      unacknowledgedBytes: this.#tailBytes,
    };
  }

  async #checkFile({ name, sequenceNumber }: FileName, isLast: boolean): Promise<void> {
    const { folder, open } = this.#options;
    const end = open?.name === name ? open.bytes : Infinity;
    let isFirst = true;
    try {
      for await (const lines of readLines(path.join(folder, name), end)) {
        for (const line of lines) {
          this.#checkLine(name, this.#chain.check(line), isFirst ? sequenceNumber : 0, isLast);
          isFirst = false;
        }
        // Others have their turn.
        await setImmediate();
      }
    } catch (error) {
      this.#find(name, 0, `it cannot be read: ${messageOf(error)}`);
    }
    // One that a crash left before anything was written into it.
    if (isFirst && !isLast) this.#find(name, 0, 'it is empty');
  }

  #checkLine(name: string, checked: CheckedLine, begins: number, isLast: boolean): void {
    const { line, header, link } = checked;
    this.#bytes += line.bytes.length + 1;
    if (this.#isTorn(checked, isLast)) return;
    const atHead = this.#anchorFault(link);
    const fault = checked.fault ?? atHead;
    if (fault !== undefined) this.#find(name, line.number, fault);
    if (header === undefined || link === undefined) return;
    const { at, sequenceNumber } = header;
    if (begins !== 0 && begins !== sequenceNumber) {
      this.#find(
        name,
        1,
        `the file is called after record ${begins}; it begins with ${sequenceNumber}`,
      );
    }
    if (BROKEN.test(header.event)) {
      this.#find(name, line.number, `the server found damage here: ${header.event.slice(0, 500)}`);
    }
    this.#records += 1;
    this.#first ??= { sequenceNumber, at };
    this.#last = { ...link, at };
  }

  /** True for what a crash left behind the last record that was acknowledged. */
  #isTorn({ line, fault }: CheckedLine, isLast: boolean): boolean {
    const isBehind = this.#hasMetHead && isLast && this.#options.open === undefined;
    if (!this.#isInTail && !(isBehind && fault !== undefined)) return false;
    this.#isInTail = true;
    this.#tailBytes += line.bytes.length + (line.isWhole ? 1 : 0);
    return true;
  }

  /** What is wrong with the record that the head says is the last. */
  #anchorFault(link: Link | undefined): string | undefined {
    const last = this.#options.head?.last;
    if (last === undefined || link?.sequenceNumber !== last.sequenceNumber) return undefined;
    this.#hasMetHead = true;
    if (link.hash === last.hash) return undefined;
    return `record ${last.sequenceNumber} is another than the one that the head record names`;
  }

  #checkEnd(name: string): void {
    const last = this.#options.head?.last;
    if (this.#tailBytes > MAX_TAIL_BYTES) {
      this.#find(name, 0, `its last ${this.#tailBytes} bytes are no records`);
    }
    if (last === undefined || this.#hasMetHead) return;
    const there = this.#last?.sequenceNumber ?? 0;
    const what =
      there < last.sequenceNumber
        ? `it ends with record ${there}; the head record says that ${last.sequenceNumber} was written`
        : `record ${last.sequenceNumber}, which the head record names, is missing`;
    this.#find(name, 0, what);
  }

  #find(file: string, line: number, what: string): void {
    if (this.#findings.length < MAX_FINDINGS) this.#findings.push({ file, line, what });
    else this.#unsaid += 1;
  }

  #allFindings(): readonly LedgerFinding[] {
    if (this.#unsaid === 0) return this.#findings;
    return [...this.#findings, { file: '', line: 0, what: `and ${this.#unsaid} more` }];
  }
}
