import { setImmediate } from 'node:timers/promises';
import { type Log, type Metrics, silentLog } from '../ops/index.ts';
import {
  type AuditEvent,
  type AuditLog,
  type IssuedRecord,
  type LedgerEvent,
  messageOf,
  type Timer,
  TrustplaneError,
} from '../spiffe/index.ts';
import type { AuditReader } from './audit-reader.ts';
import { filesOf, instantOfSerial, issuedOf } from './issued-record.ts';
import { type OpenAppendFile, openAppendFile } from './ledger-file.ts';
import type { LedgerFile, Retention } from './ledger-files.ts';
import type { LedgerFilter } from './ledger-filter.ts';
import { readHead } from './ledger-head.ts';
import { encodeEvent } from './ledger-line.ts';
import { type AuditMetrics, auditMetricsOf } from './ledger-metrics.ts';
import type { LocatedRecord } from './ledger-record.ts';
import { LedgerWriter, type LedgerWriterOptions } from './ledger-writer.ts';
import { locate, readLedger } from './read-ledger.ts';
import type { Recovered } from './recover.ts';
import type { Verification } from './verification.ts';
import { verifyLedger } from './verify-ledger.ts';

/** Of one write, about. */
const BATCH_BYTES = 1_048_576;
/** Until writing is tried again. */
const RETRY_MS = 5_000;
/** Turns of the event loop that are waited for more to write, as long as each brings some. */
const GATHER_TURNS = 16;
/** That are looked for in the text of each line; with more, lines are parsed. */
const MAX_NAMES = 16;

export interface AuditLedgerOptions extends Omit<LedgerWriterOptions, 'openFile'> {
  /** Whose it is; the first record says so. */
  readonly owner: string;
  readonly retention: Retention;
  /** Default: silent. */
  readonly log?: Log;
  readonly metrics?: Metrics;
  /** Default: files of the disk. */
  readonly openFile?: OpenAppendFile;
}

interface Waiting {
  readonly texts: readonly string[];
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Writes fail since then; nothing is acknowledged. */
interface Fault {
  readonly since: number;
  readonly why: string;
  refused: number;
}

/**
 * The ledger of one server. What arrives while a write is under way is written together after it; a record is on
 * disk, and the head says so, before it is acknowledged.
 */
export class AuditLedger implements AuditLog, AuditReader {
  readonly #options: AuditLedgerOptions;
  readonly #log: Log;
  readonly #writer: LedgerWriter;
  readonly #metrics: AuditMetrics;
  readonly #listeners = new Set<(records: readonly LocatedRecord[]) => void>();
  #retention: Retention;
  #queue: Waiting[] = [];
  /** What the ledger says of itself with the next batch. */
  #owed: LedgerEvent[];
  #draining: Promise<void> | undefined;
  #fault: Fault | undefined;
  #damage: string | undefined;
  #retry: Timer | undefined;
  #isClosed = false;

  private constructor(options: AuditLedgerOptions, writer: LedgerWriter, recovered: Recovered) {
    this.#options = options;
    this.#log = options.log ?? silentLog;
    this.#writer = writer;
    this.#retention = options.retention;
    this.#metrics = auditMetricsOf(options.metrics, {
      files: () => writer.committed.files,
      isDamaged: () => this.#damage !== undefined,
    });
    this.#owed = storyOf(recovered, options.owner);
    this.#tell(recovered);
  }

  /**
   * Takes the ledger up where it ends. Damage does not keep it from going on, in a file of its own that says so.
   * @throws TrustplaneError ERR_AUDIT_READ, ERR_FILE_*; Error when the files cannot be opened
   */
  static async open(options: AuditLedgerOptions): Promise<AuditLedger> {
    const { openFile = openAppendFile } = options;
    const { writer, recovered } = await LedgerWriter.open({ ...options, openFile });
    const ledger = new AuditLedger(options, writer, recovered);
    await ledger.#removeExpired();
    await ledger.#kick();
    return ledger;
  }

  /** Why nothing can be recorded now. */
  get fault(): string | undefined {
    return this.#fault?.why;
  }

  /** The first thing that was found not to be as it was written. */
  get damage(): string | undefined {
    return this.#damage;
  }

  async record(events: readonly AuditEvent[]): Promise<void> {
    if (this.#isClosed) throw new TrustplaneError('ERR_AUDIT_WRITE', 'the audit ledger is closed');
    const texts = events.map(encodeEvent);
    await new Promise<void>((resolve, reject) => {
      this.#queue.push({ texts, resolve, reject });
      void this.#kick();
    });
    for (const { kind } of events) this.#metrics.records.inc({ kind });
  }

  /** From the next time that something is removed. */
  setRetention(retention: Retention): void {
    this.#retention = retention;
  }

  /** Told of what is recorded from now on, in order. */
  watch(listener: (records: readonly LocatedRecord[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async *issuedSince(
    instant: number,
    names: readonly string[] = [],
  ): AsyncGenerator<IssuedRecord, void, undefined> {
    const files = filesOf(this.#writer.committed.files, instant, Infinity);
    const anyOf = names.length > 0 && names.length <= MAX_NAMES ? names : undefined;
    for await (const { event } of this.#read(files, { kind: 'x509-svid', anyOf })) {
      const issued = issuedOf(event);
      if (issued !== undefined && issued.issuedAt >= instant) yield issued;
    }
  }

  async findSerial(serialNumber: string): Promise<LocatedRecord | undefined> {
    const { files } = this.#writer.committed;
    const instant = instantOfSerial(serialNumber);
    const likely = filesOf(files, instant, instant);
    const others = files.filter((file) => !likely.includes(file));
    for await (const found of this.#read([...likely, ...others], { serialNumber })) return found;
    return undefined;
  }

  read(filter: LedgerFilter): AsyncGenerator<LocatedRecord, void, undefined> {
    const { since = -Infinity, until = Infinity } = filter;
    return this.#read(filesOf(this.#writer.committed.files, since, until), filter);
  }

  async verify(): Promise<Verification> {
    const { folder } = this.#options;
    const reading = await this.#readHead();
    const { head, open } = this.#writer.committed;
    const found = await verifyLedger({ folder, head, headFault: reading, open });
    const [finding] = found.findings;
    if (finding !== undefined) this.#noteDamage(`${finding.file}:${finding.line}: ${finding.what}`);
    return found;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#retry?.cancel();
    await this.#draining;
    await this.#writer.close();
  }

  #read(
    files: readonly LedgerFile[],
    filter: LedgerFilter,
  ): AsyncGenerator<LocatedRecord, void, undefined> {
    const { folder } = this.#options;
    return readLedger({ folder, files, open: this.#writer.committed.open }, filter);
  }

  /** What is wrong with the file of the head; one that is being written is read again. */
  async #readHead(): Promise<string | undefined> {
    let fault: string | undefined;
    for (let attempt = 0; attempt < 3; attempt++) {
      await this.#draining;
      const reading = await readHead(this.#options);
      ({ fault } = reading);
      if (fault === undefined && reading.head !== undefined) return undefined;
    }
    return fault ?? `the head record ${this.#options.headFile} is gone`;
  }

  #kick(): Promise<void> {
    this.#draining ??= this.#drain();
    return this.#draining;
  }

  async #drain(): Promise<void> {
    await this.#gather();
    let isWritten = true;
    while (this.#queue.length > 0 || (isWritten && this.#owed.length > 0) || this.#isDueAgain()) {
      isWritten = await this.#commit(this.#takeBatch());
      await this.#gather();
    }
    // In the same turn: whoever comes now begins another.
    this.#draining = undefined;
  }

  /** A write costs as much as many signatures: who records while others arrive is written with them. */
  async #gather(): Promise<void> {
    for (let turn = 0, count = -1; turn < GATHER_TURNS && this.#queue.length > count; turn++) {
      count = this.#queue.length;
      await setImmediate();
    }
  }

  /** After a fault the next batch says so, whether or not anybody has something to record. */
  #isDueAgain(): boolean {
    return this.#fault !== undefined && this.#retry === undefined && !this.#isClosed;
  }

  #takeBatch(): readonly Waiting[] {
    let bytes = 0;
    const count = this.#queue.findIndex(({ texts }) => {
      bytes += texts.reduce((sum, text) => sum + text.length + 128, 0);
      return bytes > BATCH_BYTES;
    });
    return this.#queue.splice(0, count === -1 ? this.#queue.length : Math.max(1, count));
  }

  async #commit(batch: readonly Waiting[]): Promise<boolean> {
    const own = [...this.#owed, ...(this.#fault === undefined ? [] : [resumed(this.#fault)])];
    const texts = [...own.map(encodeEvent), ...batch.flatMap((waiting) => waiting.texts)];
    const { name } = this.#writer.committed.open;
    try {
      await this.#write(texts);
    } catch (error) {
      this.#noteFault(error, batch.length);
      for (const { reject } of batch) reject(refusal(error));
      return false;
    }
    this.#owed = [];
    this.#noteWritten();
    for (const { resolve } of batch) resolve();
    if (name !== this.#writer.committed.open.name) await this.#removeExpired();
    return true;
  }

  async #write(texts: readonly string[]): Promise<void> {
    if (texts.length === 0) return;
    const end = this.#metrics.commits?.startTimer();
    const lines = await this.#writer.append(texts, this.#options.clock.now());
    end?.();
    this.#publish(lines);
  }

  #publish(lines: readonly string[]): void {
    if (this.#listeners.size === 0) return;
    const { open } = this.#writer.committed;
    const before = open.lines - lines.length;
    const records = lines.map((line, index) => {
      const fileLine = { bytes: Buffer.from(line), number: before + index + 1 };
      return locate(open.name, fileLine);
    });
    for (const listener of this.#listeners) listener(records);
  }

  async #removeExpired(): Promise<void> {
    try {
      const removed = await this.#writer.removeExpired(this.#retention);
      if (removed.length === 0) return;
      const { sequenceNumber } = this.#writer.committed.head.first;
      const detail = `${removed.length} files, up to record ${sequenceNumber - 1}, are older or more than is kept`;
      this.#owed.push({ kind: 'ledger', what: 'removed', detail });
    } catch (error) {
      this.#log.warn({ error: messageOf(error) }, 'old files of the audit ledger were not removed');
    }
  }

  #noteWritten(): void {
    if (this.#fault === undefined) return;
    this.#fault = undefined;
    this.#retry?.cancel();
    this.#retry = undefined;
    this.#log.info({}, 'the audit ledger can be written again');
  }

  #noteFault(error: unknown, refused: number): void {
    const { clock, folder } = this.#options;
    if (this.#fault === undefined) {
      const why = `the audit ledger in ${folder} cannot be written: ${messageOf(error)}`;
      this.#fault = { since: clock.now(), why, refused: 0 };
      this.#log.error({ folder, error: messageOf(error) }, 'nothing is issued: no audit record');
    }
    this.#fault.refused += refused;
    this.#metrics.refusals.inc(refused);
    if (this.#isClosed) return;
    this.#retry ??= clock.setTimer(RETRY_MS, () => {
      this.#retry = undefined;
      void this.#kick();
    });
  }

  #tell({ damage, tornBytes }: Recovered): void {
    if (damage !== undefined) this.#noteDamage(damage);
    if (tornBytes === 0) return;
    const fields = { folder: this.#options.folder, bytes: tornBytes };
    this.#log.warn(fields, 'the audit ledger ended in a write that a crash cut off');
  }

  #noteDamage(what: string): void {
    if (this.#damage === undefined || this.#damage === what) {
      this.#log.error({ what }, 'the audit ledger is not what was written');
    }
    this.#damage ??= what;
  }
}

/** What the ledger has to say of how it was found. */
function storyOf({ isNew, tornBytes, damage }: Recovered, owner: string): LedgerEvent[] {
  const kind = 'ledger';
  const story: LedgerEvent[] = [];
  if (isNew) story.push({ kind, what: 'begun', detail: owner });
  if (damage !== undefined) story.push({ kind, what: 'broken', detail: damage.slice(0, 1_000) });
  if (tornBytes > 0) {
    const detail = `${tornBytes} bytes that were never acknowledged, left by a crash`;
    story.push({ kind, what: 'cut', detail });
  }
  return story;
}

function resumed({ since, refused, why }: Fault): LedgerEvent {
  const from = new Date(since).toISOString();
  const detail = `since ${from} ${refused} calls could not be recorded, and were refused: ${why}`;
  return { kind: 'ledger', what: 'resumed', detail: detail.slice(0, 1_000) };
}

function refusal(error: unknown): TrustplaneError {
  return new TrustplaneError(
    'ERR_AUDIT_WRITE',
    `what cannot be recorded is not done: the audit ledger cannot be written: ${messageOf(error)}; free some room on its disk, or make it writable`,
    { cause: error },
  );
}
