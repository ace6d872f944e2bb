import { hash } from 'node:crypto';
import { type AuditEvent, TrustplaneError } from '../spiffe/index.ts';
import { parseEvent } from './event-schema.ts';
import type { LedgerRecord } from './ledger-record.ts';

/** What the first line of all has before it. */
export const NO_HASH: string = '0'.repeat(64);

/** The longest line there is, its line feed not counted. */
export const MAX_LINE_BYTES = 131_072;

const LINE =
  /^\{"seq":([1-9]\d{0,15}),"at":(0|[1-9]\d{0,15}),"prev":"([0-9a-f]{64})","event":(\{.*\})\}$/u;

/** A line as far as the chain is concerned. */
export interface LineHeader {
  readonly sequenceNumber: number;
  readonly at: number;
  readonly previousHash: string;
  /** JSON. */
  readonly event: string;
}

/** @throws TrustplaneError ERR_INTERNAL for one that no line may hold */
export function encodeEvent(event: AuditEvent): string {
  const text = JSON.stringify(event);
  if (Buffer.byteLength(text) <= MAX_LINE_BYTES - 256) return text;
  throw new TrustplaneError('ERR_INTERNAL', `an audit event of ${text.length} characters`);
}

/** Without the line feed. */
export function buildLine({ sequenceNumber, at, previousHash, event }: LineHeader): string {
  return `{"seq":${sequenceNumber},"at":${at},"prev":"${previousHash}","event":${event}}`;
}

/** SHA-256 of the line without its line feed, hex. */
export function hashLine(line: string | Uint8Array): string {
  return hash('sha256', line, 'hex');
}

/** Undefined for what is no line of a ledger; the event is not looked at. */
export function readHeader(line: Uint8Array): LineHeader | undefined {
  if (line.length > MAX_LINE_BYTES) return undefined;
  const text = Buffer.from(line.buffer, line.byteOffset, line.length).toString('utf8');
  const [, seq, at, previousHash, event] = LINE.exec(text) ?? [];
  if (seq === undefined || at === undefined || previousHash === undefined || event === undefined) {
    return undefined;
  }
  return { sequenceNumber: Number(seq), at: Number(at), previousHash, event };
}

/** @throws Error when it is no line of this version */
export function parseRecord(line: Uint8Array): LedgerRecord {
  const header = readHeader(line);
  if (header === undefined) throw new Error('it is no line of a ledger');
  const { sequenceNumber, at, previousHash } = header;
  return { sequenceNumber, at, previousHash, event: parseEvent(header.event) };
}
