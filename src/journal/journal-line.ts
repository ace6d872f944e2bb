import { z } from 'zod';

const VERSION = 1;
const BUCKET = z.string().regex(/^[a-z]{1,32}$/u);
const KEY = z.string().min(1).max(512);
const ERA = z.string().regex(/^[0-9a-f]{16}$/u);
const count = z.int().nonnegative();

/** The latest that is known of one record of the store. */
export interface Fact {
  readonly bucket: string;
  readonly key: string;
  /** Of the revision: revisions of different eras cannot be compared. */
  readonly era: string;
  /** Of the change; for a deletion at least that. */
  readonly revision: number;
  /** From when it may be forgotten, milliseconds since the epoch; undefined: never. */
  readonly expiresAt: number | undefined;
  /** Undefined: the record was deleted. */
  readonly value: Uint8Array | undefined;
}

/** What is written into the journal. */
export type JournalChange =
  | ({ readonly type: 'fact' } & Fact)
  | { readonly type: 'forget'; readonly bucket: string; readonly key: string }
  /** Up to where a bucket was seen. */
  | { readonly type: 'seen'; readonly bucket: string; readonly revision: number }
  /** The era of the store; what was seen before counts for nothing. */
  | { readonly type: 'era'; readonly era: string };

/** The first line of a journal. */
export interface JournalHead {
  readonly id: string;
  readonly trustDomain: string;
}

const lineSchema = z.union([
  z.strictObject({
    b: BUCKET,
    k: KEY,
    e: ERA,
    r: count,
    x: count.optional(),
    v: z.base64().max(1_400_000).optional(),
  }),
  z.strictObject({ forget: KEY, b: BUCKET }),
  z.strictObject({ seen: BUCKET, r: count }),
  z.strictObject({ era: ERA }),
  z.strictObject({ journal: z.literal(VERSION), id: ERA, trustDomain: z.string() }),
]);

export function encodeHead({ id, trustDomain }: JournalHead): string {
  return JSON.stringify({ journal: VERSION, id, trustDomain });
}

export function encodeChange(change: JournalChange): string {
  return JSON.stringify(lineOf(change));
}

/** @throws Error when it is no line of this version */
export function parseLine(text: string): JournalChange | ({ readonly type: 'head' } & JournalHead) {
  const line = lineSchema.parse(JSON.parse(text));
  if ('journal' in line) return { type: 'head', id: line.id, trustDomain: line.trustDomain };
  if ('era' in line) return { type: 'era', era: line.era };
  if ('seen' in line) return { type: 'seen', bucket: line.seen, revision: line.r };
  if ('forget' in line) return { type: 'forget', bucket: line.b, key: line.forget };
  const value = line.v === undefined ? undefined : new Uint8Array(Buffer.from(line.v, 'base64'));
  return {
    type: 'fact',
    bucket: line.b,
    key: line.k,
    era: line.e,
    revision: line.r,
    expiresAt: line.x,
    value,
  };
}

function lineOf(change: JournalChange): z.input<typeof lineSchema> {
  if (change.type === 'era') return { era: change.era };
  if (change.type === 'seen') return { seen: change.bucket, r: change.revision };
  if (change.type === 'forget') return { forget: change.key, b: change.bucket };
  const { bucket, key, era, revision, expiresAt, value } = change;
  const v = value === undefined ? undefined : Buffer.from(value).toString('base64');
  return { b: bucket, k: key, e: era, r: revision, x: expiresAt, v };
}
