import { z } from 'zod';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import type { Bucket } from '../store/index.ts';

export const REFUSED_KEY = 'refused';
const MAX_ATTEMPTS = 16;
/** The oldest go when there are more: by then nobody upstream knows them. */
const MAX_REFUSED = 512;
const decoder = new TextDecoder('utf-8', { fatal: true });

const schema = z.strictObject({
  v: z.literal(1),
  revoked: z.array(z.string().min(1).max(300)).max(MAX_REFUSED),
});
type Record = z.output<typeof schema>;

/** Authorities that were revoked here, whatever is still said of them upstream. */
export interface RefusedKeys {
  isRevoked(name: string): boolean;
  /** Durable once it resolves. */
  revoke(name: string): Promise<void>;
}

/** Read once, written by compare-and-set; names are up to 300 characters. @throws TrustplaneError ERR_CA_JOURNAL, ERR_STORE_* */
export async function loadRefusedKeys(bucket: Bucket): Promise<RefusedKeys> {
  const stored = await bucket.get(REFUSED_KEY);
  let record: Record = decode(stored?.value);
  const revoke = async (name: string): Promise<void> => {
    for (let attempt = 1; ; attempt++) {
      const found = await bucket.get(REFUSED_KEY);
      const before = decode(found?.value);
      record = before;
      if (before.revoked.includes(name)) return;
      const next = { ...before, revoked: [...before.revoked, name].slice(-MAX_REFUSED) };
      try {
        await bucket.put(REFUSED_KEY, Buffer.from(JSON.stringify(next)), found?.revision ?? 0);
        record = next;
        return;
      } catch (error) {
        const isConflict = error instanceof TrustplaneError && error.code === 'ERR_STORE_CONFLICT';
        if (!isConflict || attempt === MAX_ATTEMPTS) throw error;
      }
    }
  };
  return { isRevoked: (name) => record.revoked.includes(name), revoke };
}

/** All that either refuses, unless `stored` does already. */
export function joinRefused(
  known: Uint8Array,
  stored: Uint8Array | undefined,
): Uint8Array | undefined {
  const there = decode(stored);
  const missing = decode(known).revoked.filter((name) => !there.revoked.includes(name));
  if (missing.length === 0) return undefined;
  return Buffer.from(
    JSON.stringify({ ...there, revoked: [...there.revoked, ...missing].slice(-MAX_REFUSED) }),
  );
}

function decode(value: Uint8Array | undefined): Record {
  if (value === undefined) return { v: 1, revoked: [] };
  try {
    return schema.parse(JSON.parse(decoder.decode(value)));
  } catch (cause) {
    throw new TrustplaneError(
      'ERR_CA_JOURNAL',
      `the record ${REFUSED_KEY} of refused authorities is damaged or of a newer release: ${messageOf(cause)}`,
      { cause },
    );
  }
}
