import { z } from 'zod';

const decoder = new TextDecoder('utf-8', { fatal: true });
const MAX_TTL_MS = 3_600_000;

/** Who holds a lease. */
export interface LeaseRecord {
  /** 1 to 128 characters. */
  readonly holder: string;
  /** Without a renewal for so long, it is over. */
  readonly ttlMs: number;
  /** By the clock of the holder, milliseconds since the epoch; for people, no decision rests on it. */
  readonly renewedAt: number;
  /** What the holder says beside; JSON. */
  readonly about: unknown;
}

const schema = z.strictObject({
  v: z.literal(1),
  holder: z.string().min(1).max(128),
  ttlMs: z.int().positive().max(MAX_TTL_MS),
  renewedAt: z.int().nonnegative(),
  about: z.unknown().optional(),
});

export function encodeLease(record: LeaseRecord): Uint8Array {
  return Buffer.from(JSON.stringify({ v: 1, ...record }));
}

/** Undefined for what cannot be read: whoever wrote it holds the lease for as long as others do. */
export function decodeLease(value: Uint8Array): LeaseRecord | undefined {
  try {
    const { holder, ttlMs, renewedAt, about } = schema.parse(JSON.parse(decoder.decode(value)));
    return { holder, ttlMs, renewedAt, about };
  } catch {
    return undefined;
  }
}
