import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { onTestFinished } from 'vitest';
import { createThrowawayCa } from '../../src/ca/index.ts';
import { loadFederation } from '../../src/federation/index.ts';
import { createMetrics, type Log, silentLog } from '../../src/ops/index.ts';
import {
  type Bundle,
  emptyBundle,
  type TokenAuthority,
  TrustDomain,
} from '../../src/spiffe/index.ts';
import { type Bucket, createMemoryStore, type Store } from '../../src/store/index.ts';
import { FakeClock } from './fake-clock.ts';

/** Registries of a.test over a memory store, closed when the test ends. Several may share a store and a clock. */
export async function openFederation(
  place: {
    readonly clock?: FakeClock;
    readonly store?: Store;
    readonly bucket?: Bucket;
    readonly log?: Log;
  } = {},
) {
  const clock = place.clock ?? new FakeClock();
  const store = place.store ?? createMemoryStore({ clock });
  const bucket = place.bucket ?? store.bucket('federation');
  const metrics = createMetrics();
  const options = {
    bucket,
    trustDomain: TrustDomain.parse('a.test'),
    clock,
    log: place.log ?? silentLog,
    metrics,
  };
  const { foreignBundles: bundles, relationships, close } = await loadFederation(options);
  onTestFinished(close);
  return { clock, store, bucket, metrics, bundles, relationships, close };
}

const certificates = Array.from({ length: 6 }, () => createThrowawayCa(Date.now(), randomBytes));

/** One of six CA certificates (DER), the same for the same index in one test file. */
export function testCertificate(index: number): Uint8Array {
  const certificate = certificates[index % certificates.length];
  if (certificate === undefined) throw new Error('no certificate');
  return certificate;
}

const publicKey = new Uint8Array(
  generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
    format: 'der',
    type: 'spki',
  }),
);

export function testTokenAuthority(
  keyId: string,
  more: Partial<TokenAuthority> = {},
): TokenAuthority {
  return { keyId, publicKey, expiresAt: undefined, tainted: false, ...more };
}

/** A bundle of a trust domain with some of the six certificates. */
export function foreignBundle(
  name: string,
  indexes: readonly number[] = [0],
  more: Partial<Bundle> = {},
): Bundle {
  return {
    ...emptyBundle(TrustDomain.parse(name)),
    x509Authorities: indexes.map((index) => ({
      certificate: testCertificate(index),
      tainted: false,
    })),
    ...more,
  };
}

/** Where the bundle of a trust domain is stored. */
export function storedBundleKey(name: string): string {
  return `bundle.${Buffer.from(name).toString('base64url')}`;
}
