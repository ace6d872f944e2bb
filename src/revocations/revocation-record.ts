import { createHash } from 'node:crypto';
import { z } from 'zod';
import { messageOf, type Revocation, revocationKinds, TrustplaneError } from '../spiffe/index.ts';

const VERSION = 1;
const decoder = new TextDecoder('utf-8', { fatal: true });
const instant = z.int().nonnegative();

/** Version 1. A later version keeps this schema and adds the step from it to itself. */
const schema = z.strictObject({
  v: z.literal(VERSION),
  kind: z.enum(revocationKinds),
  value: z.string().min(1),
  issuedBefore: instant,
  expiresAt: instant,
  reason: z.string(),
  by: z.string().optional(),
});

/** The store key, and the ID: one for each subject, so that a later revocation takes the place of an earlier. */
export function revocationKey({ kind, value }: Pick<Revocation, 'kind' | 'value'>): string {
  return `${kind}.${createHash('sha256').update(value).digest('base64url')}`;
}

export function encodeRevocation(revocation: Omit<Revocation, 'id'>): Uint8Array {
  const { kind, value, issuedBefore, expiresAt, reason, by } = revocation;
  const record: z.input<typeof schema> = {
    v: VERSION,
    kind,
    value,
    issuedBefore,
    expiresAt,
    reason,
    by,
  };
  return Buffer.from(JSON.stringify(record));
}

/** @throws TrustplaneError ERR_REVOCATION_RECORD */
export function decodeRevocation(key: string, value: Uint8Array): Revocation {
  try {
    const { v: _, ...fields } = schema.parse(JSON.parse(decoder.decode(value)));
    if (revocationKey(fields) !== key) throw new Error('it is of another subject');
    return { id: key, ...fields };
  } catch (error) {
    throw new TrustplaneError(
      'ERR_REVOCATION_RECORD',
      `the revocation stored at ${key} cannot be read: ${messageOf(error)}`,
      { cause: error },
    );
  }
}
