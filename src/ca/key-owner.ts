import { TrustplaneError } from '../spiffe/index.ts';
import type { Bucket } from '../store/index.ts';
import { unlessConflict } from '../store/index.ts';
import type { RandomBytes } from './serial-number.ts';

const KEY = 'key-owner';
const BYTES = 8;
const OWNER = /^[0-9a-f]{16}$/u;

/**
 * What names this server's keys where other servers' lie beside them: 16 hex digits, made once. A
 * server removes keys of its own that its journal does not name, so no two may have the same.
 * @throws TrustplaneError ERR_CA_JOURNAL, ERR_STORE_*
 */
export async function loadKeyOwner(bucket: Bucket, random: RandomBytes): Promise<string> {
  const made = Buffer.from(random(BYTES)).toString('hex');
  const isNew = await unlessConflict(() => bucket.put(KEY, Buffer.from(made), 0));
  if (isNew !== undefined) return made;
  const stored = Buffer.from((await bucket.get(KEY))?.value ?? []).toString('latin1');
  if (OWNER.test(stored)) return stored;
  throw new TrustplaneError('ERR_CA_JOURNAL', `the record ${KEY} is no ID of a server`);
}
