import { z } from 'zod';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import { type Bucket, unlessConflict } from '../store/index.ts';

const KEY = 'era';
const name = z.string().regex(/^[0-9a-f]{16}$/u);
const schema = z.strictObject({
  v: z.literal(1),
  era: name,
  healing: z.strictObject({ from: name.optional(), by: name }).optional(),
});

/** What names the time in which revisions of a store can be compared. */
export interface StoreEra {
  readonly era: string;
  /** Whose journal is still being asserted, and of which era the store was then; undefined: of none. */
  readonly healing?: { readonly from?: string | undefined; readonly by: string } | undefined;
  /** Of the record that says so. */
  readonly revision: number;
}

/** Undefined: no era was begun in this store. It is kept in the bucket `leases`. @throws TrustplaneError ERR_STORE_* */
export async function readEra(bucket: Bucket): Promise<StoreEra | undefined> {
  const stored = await bucket.get(KEY);
  if (stored === undefined) return undefined;
  try {
    const { era, healing } = schema.parse(JSON.parse(Buffer.from(stored.value).toString('utf8')));
    return { era, healing, revision: stored.revision };
  } catch (cause) {
    const message = `the record ${KEY} of the bucket leases cannot be read: ${messageOf(cause)}`;
    throw new TrustplaneError('ERR_STORE_DAMAGED', message, { cause });
  }
}

/** Undefined when the record was changed by others after `before`. @throws TrustplaneError ERR_STORE_* */
export async function writeEra(
  bucket: Bucket,
  era: Omit<StoreEra, 'revision'>,
  before: StoreEra | undefined,
): Promise<StoreEra | undefined> {
  const record: z.input<typeof schema> = { v: 1, ...era };
  const value = Buffer.from(JSON.stringify(record));
  const revision = await unlessConflict(() => bucket.put(KEY, value, before?.revision ?? 0));
  return revision === undefined ? undefined : { ...era, revision };
}
