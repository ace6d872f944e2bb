import { z } from 'zod';
import { readOrUndefined } from '../store/index.ts';
import { authorityStates } from './authority.ts';

const JOURNAL_KEY = /^(?:x509|jwt)\.[A-Za-z0-9_-]+$/u;
const schema = z.looseObject({
  authorities: z.array(z.looseObject({ keyId: z.string(), state: z.enum(authorityStates) })),
});

/**
 * A record of the bucket `authorities` once private keys are gone: an authority without its key signs nothing
 * more, and stays in the bundle as an old one. The same value when it says nothing of them.
 */
export function retireWithoutKey(
  key: string,
  value: Uint8Array,
  hasKey: (keyId: string) => boolean,
): Uint8Array {
  if (!JOURNAL_KEY.test(key)) return value;
  const record = readOrUndefined(() => schema.parse(JSON.parse(Buffer.from(value).toString())));
  if (record === undefined || record.authorities.every(({ keyId }) => hasKey(keyId))) return value;
  const authorities = record.authorities.map((authority) =>
    hasKey(authority.keyId) ? authority : { ...authority, state: 'old' },
  );
  return Buffer.from(JSON.stringify({ ...record, authorities }));
}
