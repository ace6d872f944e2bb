import { quote, TrustplaneError } from '../spiffe/index.ts';

/** What a program that reads the facts has in force. Digests are SHA-256 in lower-case hex. */
export interface FactsReport {
  /** What it is called among those of the host. */
  readonly name: string;
  readonly version: string;
  /** Of the policies in force; undefined: none are. */
  readonly digest: string | undefined;
  /** Of the version that they are; undefined: they are not from the servers. */
  readonly hash: string | undefined;
  /** Since when, milliseconds since the epoch. */
  readonly since: number | undefined;
  /** Why the version `refused` is not in force. */
  readonly fault: string | undefined;
  readonly refused: string | undefined;
}

/** trustplane.agent.v1.ReportFactsRequest; 64-bit integers are decimal text. */
export interface WireReport {
  readonly name?: string;
  readonly version?: string;
  readonly policies_digest?: Uint8Array;
  readonly policies_hash?: Uint8Array;
  readonly since?: string;
  readonly fault?: string;
  readonly refused?: Uint8Array;
}

const MAX_NAME_BYTES = 256;
const MAX_FAULT_BYTES = 4_096;
const DIGEST_BYTES = 32;
const UNPRINTABLE = /[\p{Cc}\p{Cs}]/u;

export function buildReport(report: FactsReport): WireReport {
  const { name, version, digest, hash, since, fault, refused } = report;
  return {
    name: cut(name, MAX_NAME_BYTES),
    version: cut(version, MAX_NAME_BYTES),
    policies_digest: Buffer.from(digest ?? '', 'hex'),
    policies_hash: Buffer.from(hash ?? '', 'hex'),
    since: String(since ?? 0),
    fault: cut((fault ?? '').replaceAll('\n', '; '), MAX_FAULT_BYTES),
    refused: Buffer.from(refused ?? '', 'hex'),
  };
}

/** @throws TrustplaneError ERR_FACTS_REPORT */
export function parseReport(message: WireReport): FactsReport {
  const name = parseText('name', message.name, MAX_NAME_BYTES);
  if (name === '') throw fault('name', 'one', 'none');
  const said = parseText('fault', message.fault, MAX_FAULT_BYTES);
  return {
    name,
    version: parseText('version', message.version, MAX_NAME_BYTES),
    digest: parseDigest('policies_digest', message.policies_digest),
    hash: parseDigest('policies_hash', message.policies_hash),
    since: parseInstant(message.since),
    fault: said === '' ? undefined : said,
    refused: parseDigest('refused', message.refused),
  };
}

function parseText(field: string, text = '', maxBytes: number): string {
  if (Buffer.byteLength(text) <= maxBytes && !UNPRINTABLE.test(text)) return text;
  throw fault(field, `at most ${maxBytes} bytes of text`, quote(text));
}

function parseDigest(field: string, bytes: Uint8Array = new Uint8Array()): string | undefined {
  if (bytes.length === 0) return undefined;
  if (bytes.length === DIGEST_BYTES) return Buffer.from(bytes).toString('hex');
  throw fault(field, `${DIGEST_BYTES} bytes`, `${bytes.length}`);
}

function parseInstant(text = '0'): number | undefined {
  const instant = /^[0-9]{1,16}$/u.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(instant))
    throw fault('since', 'milliseconds since the epoch', quote(text));
  return instant === 0 ? undefined : instant;
}

/** At most the bytes that are taken, without what is not text. */
function cut(text: string, maxBytes: number): string {
  const clean = Buffer.from(text.replace(/[\p{Cc}\p{Cs}]/gu, ' '));
  if (clean.length <= maxBytes) return clean.toString();
  return `${clean
    .subarray(0, maxBytes - 4)
    .toString()
    .replace(/\uFFFD+$/u, '')}…`;
}

function fault(field: string, expected: string, got: string): TrustplaneError {
  return new TrustplaneError(
    'ERR_FACTS_REPORT',
    `a report: ${field}: expected ${expected}; got ${got}`,
  );
}
