import { z } from 'zod';
import { messageOf, type TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import type { Bucket } from '../store/index.ts';
import { authorityStates, createAuthority, type X509CaAuthority } from './authority.ts';

const VERSION = 1;
const decoder = new TextDecoder('utf-8', { fatal: true });
const schema = z.strictObject({
  v: z.literal(VERSION),
  authorities: z
    .array(
      z.strictObject({
        keyId: z.string().min(1).max(128),
        state: z.enum(authorityStates),
        issuedAt: z.int().nonnegative(),
        certificate: z.base64().min(1).max(65_536),
      }),
    )
    .max(1024),
});

/**
 * The record of one server's X.509 authorities: one key of the bucket `authorities`, written by
 * that server alone, always by compare-and-set on what it read.
 */
export interface Journal {
  /** @throws TrustplaneError ERR_CA_JOURNAL, ERR_STORE_UNAVAILABLE */
  load(): Promise<readonly X509CaAuthority[]>;
  /** @throws TrustplaneError ERR_STORE_CONFLICT when it changed since it was loaded, ERR_STORE_UNAVAILABLE */
  write(authorities: readonly X509CaAuthority[]): Promise<void>;
}

export function createJournal(bucket: Bucket, key: string, trustDomain: TrustDomain): Journal {
  let revision = 0;
  return {
    async load() {
      const record = await bucket.get(key);
      revision = record?.revision ?? 0;
      return record === undefined ? [] : decode(record.value, key, trustDomain);
    },
    async write(authorities) {
      revision = await bucket.put(key, encode(authorities), revision);
    },
  };
}

function encode(authorities: readonly X509CaAuthority[]): Uint8Array {
  const record: z.input<typeof schema> = {
    v: VERSION,
    authorities: authorities.map(({ keyId, state, issuedAt, certificate }) => ({
      keyId,
      state,
      issuedAt,
      certificate: Buffer.from(certificate).toString('base64'),
    })),
  };
  return Buffer.from(JSON.stringify(record));
}

function decode(
  value: Uint8Array,
  key: string,
  trustDomain: TrustDomain,
): readonly X509CaAuthority[] {
  try {
    const record = schema.parse(JSON.parse(decoder.decode(value)));
    const authorities = record.authorities.map((entry) =>
      createAuthority({
        ...entry,
        certificate: new Uint8Array(Buffer.from(entry.certificate, 'base64')),
      }),
    );
    check(authorities, trustDomain);
    return authorities;
  } catch (cause) {
    throw new TrustplaneError(
      'ERR_CA_JOURNAL',
      `the journal of the X.509 authorities (record ${key}) is damaged or of a newer release: ${messageOf(cause)}`,
      { cause },
    );
  }
}

function check(authorities: readonly X509CaAuthority[], trustDomain: TrustDomain): void {
  for (const { authorityId, parsed } of authorities) {
    if (!parsed.isCa || authorityId === '' || parsed.uriSans[0] !== trustDomain.id) {
      throw new Error(`authority ${authorityId} is no authority of ${trustDomain.name}`);
    }
  }
  const count = (state: string): number => authorities.filter((a) => a.state === state).length;
  if (count('active') > 1 || count('prepared') > 1) {
    throw new Error('more than one authority is active, or more than one prepared');
  }
}
