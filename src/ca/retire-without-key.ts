import { z } from 'zod';
import { readOrUndefined } from '../store/index.ts';
import { authorityStates } from './authority.ts';

const schema = z.looseObject({
  authorities: z.array(z.looseObject({ keyId: z.string(), state: z.enum(authorityStates) })),
});

/**
 * A record of the bucket `authorities` once private keys of the server are gone: an authority without its key signs
 * nothing more, and stays in the bundle as an old one. The same value when it says nothing of them.
 */
export function retireWithoutKey(
  key: string,
  value: Uint8Array,
  serverId: string,
  hasKey: (keyId: string) => boolean,
): Uint8Array {
  if (key !== `x509.${serverId}` && key !== `jwt.${serverId}`) return value;
  const record = readOrUndefined(() => schema.parse(JSON.parse(Buffer.from(value).toString())));
  if (record === undefined || record.authorities.every(({ keyId }) => hasKey(keyId))) return value;
  const authorities = record.authorities.map((authority) =>
    hasKey(authority.keyId) ? authority : { ...authority, state: 'old' },
  );
  return Buffer.from(JSON.stringify({ ...record, authorities }));
}
