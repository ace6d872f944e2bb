import { z } from 'zod';
import { type Crl, messageOf, parseCrl, TrustplaneError } from '../spiffe/index.ts';
import type { LastingRecords } from '../store/index.ts';

/** Before the ID of the authority, in the bucket `authorities`. */
export const CRL_PREFIX = 'crl.';
const decoder = new TextDecoder('utf-8', { fatal: true });

/** Version 1. A later version keeps this schema and adds the step from it to itself. */
const schema = z.strictObject({
  v: z.literal(1),
  crl: z.base64().min(1),
  isWithheld: z.boolean(),
});

/** The CRL of one authority, as its server wrote it. */
export interface KeptCrl {
  readonly crl: Crl;
  /** Other authorities stand below it, whose certificates no CRL of this control plane names: nobody is to check against it. */
  readonly isWithheld: boolean;
}

export function crlKeyOf(authorityId: string): string {
  return CRL_PREFIX + authorityId;
}

export function encodeCrl(der: Uint8Array, isWithheld: boolean): Uint8Array {
  const crl = Buffer.from(der).toString('base64');
  return Buffer.from(JSON.stringify({ v: 1, crl, isWithheld } satisfies z.input<typeof schema>));
}

/** @throws TrustplaneError ERR_CRL_RECORD */
export function decodeCrl(key: string, value: Uint8Array): KeptCrl {
  try {
    const { crl: base64, isWithheld } = schema.parse(JSON.parse(decoder.decode(value)));
    const crl = parseCrl(Uint8Array.from(Buffer.from(base64, 'base64')));
    if (crlKeyOf(crl.authorityId) !== key) throw new Error('it is of another authority');
    return { crl, isWithheld };
  } catch (cause) {
    const message = `the CRL stored at ${key} cannot be read: ${messageOf(cause)}`;
    throw new TrustplaneError('ERR_CRL_RECORD', message, { cause });
  }
}

/** Made anew from what is revoked wherever one is lost; the number of each is above all before. */
export const lastingCrls: LastingRecords = {
  bucket: 'authorities',
  prefix: CRL_PREFIX,
  keeps: 'deletions',
  endOf: () => undefined,
  join: () => undefined,
};
