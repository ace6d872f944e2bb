import { X509Certificate } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readFileBounded } from '../../../ops/index.ts';
import { decodePem, messageOf } from '../../../spiffe/index.ts';
import { refused } from '../cloud/refused.ts';
import type { RegionKey } from './aws-iid-attestor.ts';

const MAX_BYTES = 65_536;
const MAX_REGIONS = 256;
const MIN_RSA_BITS = 2_048;
const FILE = /^([a-z0-9-]{1,32})\.pem$/u;

/**
 * Reads `<region>.pem` files of a folder: the certificates that AWS publishes for instance identity
 * documents with RSA-2048, one region each.
 * @throws TrustplaneError ERR_NODE_ATTEST_AUTHORITIES
 */
export async function loadRegionKeys(
  folder: string,
): Promise<ReadonlyMap<string, readonly RegionKey[]>> {
  const names = await readdir(folder).catch((error: unknown) => {
    throw unusable(folder, messageOf(error), error);
  });
  const regions = names.flatMap((name) => FILE.exec(name)?.[1] ?? []).sort();
  if (regions.length === 0) throw unusable(folder, 'there is no file <region>.pem in it');
  if (regions.length > MAX_REGIONS) throw unusable(folder, `it has ${regions.length} files`);
  const keys = new Map<string, readonly RegionKey[]>();
  for (const region of regions) keys.set(region, await loadKeys(join(folder, `${region}.pem`)));
  return keys;
}

async function loadKeys(file: string): Promise<readonly RegionKey[]> {
  const bytes = await readFileBounded(file, MAX_BYTES);
  try {
    const ders = decodePem('CERTIFICATE', Buffer.from(bytes ?? []).toString('latin1'));
    if (ders.length === 0) throw new Error('there is no certificate in it');
    return ders.map((der) => keyOf(new X509Certificate(der)));
  } catch (error) {
    throw unusable(file, messageOf(error), error);
  }
}

function keyOf({ publicKey, validToDate }: X509Certificate): RegionKey {
  const bits = publicKey.asymmetricKeyDetails?.modulusLength ?? 0;
  if (publicKey.asymmetricKeyType !== 'rsa' || bits < MIN_RSA_BITS) {
    throw new Error(`its key is not RSA of at least ${MIN_RSA_BITS} bits`);
  }
  return { publicKey, notAfter: validToDate.getTime() };
}

function unusable(place: string, why: string, cause?: unknown): Error {
  const message = `the certificates of AWS in ${place} cannot be used: ${why}`;
  return refused('ERR_NODE_ATTEST_AUTHORITIES', message, cause);
}
