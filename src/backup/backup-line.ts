import { z } from 'zod';
import { type BucketName, bucketNames } from '../store/index.ts';

const BACKUP_VERSION = 1;
const BUCKET = z.enum(bucketNames);
const KEY = z.string().min(1).max(512);
const ERA = z.string().regex(/^[0-9a-f]{16}$/u);
const count = z.int().nonnegative();
const value = z.base64().max(1_400_000);

/** The first line of a backup. */
export interface BackupHead {
  readonly trustDomain: string;
  readonly serverVersion: string;
  readonly serverId: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** Of the journal. */
  readonly era: string;
}

const headSchema = z.strictObject({
  trustplaneBackup: z.int(),
  trustDomain: z.string(),
  serverVersion: z.string(),
  serverId: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/u),
  createdAt: count,
  era: ERA,
});
/** Every other one: of a record, of the bucket of those that follow, of a fact of the journal, of a sealed key, of the seal key, and the last. */
export type BackupLine =
  | { readonly k: string; readonly r: number; readonly v: string }
  | { readonly bucket: BucketName; readonly revision: number }
  | FactLine
  | { readonly key: string; readonly v: string }
  | { readonly sealKey: string }
  | { readonly lines: number; readonly sha256: string };

interface FactLine {
  readonly fact: string;
  readonly b: BucketName;
  readonly e: string;
  readonly r: number;
  readonly x?: number | undefined;
  readonly v?: string | undefined;
}

const recordSchema = z.strictObject({ k: KEY, r: count, v: value });
const lineSchema = z.union([
  recordSchema,
  z.strictObject({ bucket: BUCKET, revision: count }),
  z.strictObject({
    fact: KEY,
    b: BUCKET,
    e: ERA,
    r: count,
    x: count.optional(),
    v: value.optional(),
  }),
  z.strictObject({ key: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/u), v: value }),
  z.strictObject({ sealKey: value }),
  z.strictObject({ lines: count, sha256: z.string().regex(/^[0-9a-f]{64}$/u) }),
]);

export function encodeHead(head: BackupHead): string {
  return `${JSON.stringify({ trustplaneBackup: BACKUP_VERSION, ...head })}\n`;
}

export function encodeLine(line: BackupLine): string {
  return `${JSON.stringify(line)}\n`;
}

/** @throws Error when it is no head, or of a newer release */
export function parseHead(text: string): BackupHead {
  const { trustplaneBackup, ...head } = headSchema.parse(JSON.parse(text));
  if (trustplaneBackup === BACKUP_VERSION) return head;
  throw new Error(`it is of version ${trustplaneBackup}; this release reads ${BACKUP_VERSION}`);
}

/** @throws Error when it is no line of a backup */
export function parseLine(text: string): BackupLine {
  const line: unknown = JSON.parse(text);
  // Most are records: asked first, they are read five times as fast.
  const record = recordSchema.safeParse(line);
  return record.success ? record.data : lineSchema.parse(line);
}
