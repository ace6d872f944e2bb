import { createECDH, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { createMemoryKeyManager, createX509Ca, type X509Ca } from '../src/ca/index.ts';
import { openOwnBundle } from '../src/federation/index.ts';
import { createMetrics, silentLog, systemClock } from '../src/ops/index.ts';
import { generateP256KeyPair, SpiffeId, TrustDomain } from '../src/spiffe/index.ts';
import { createMemoryStore } from '../src/store/index.ts';
import { median } from './measurement.ts';

const ROUNDS = 31;
const ROUND_MS = 100;
const SIGNED_BYTES = 500;
/** An uncompressed P-256 point, the end of its SubjectPublicKeyInfo. */
const POINT_BYTES = 65;

/**
 * X509-SVIDs per second, each with a fresh key, against key generation and one signature alone; one
 * thread, rounds of both by turns, medians.
 */
export async function measureLeafIssue(): Promise<{
  readonly value: number;
  readonly baseline: number;
}> {
  const clock = systemClock;
  const store = createMemoryStore({ clock });
  const bucket = store.bucket('authorities');
  const trustDomain = TrustDomain.parse('bench.test');
  const ownBundle = await openOwnBundle({ bucket, trustDomain, clock, log: silentLog });
  const ca = await createX509Ca({
    trustDomain,
    serverId: 'bench',
    bucket,
    keyManager: createMemoryKeyManager(),
    ownBundle: ownBundle.publisherFor('bench'),
    clock,
    random: randomBytes,
    log: silentLog,
    metrics: createMetrics(),
  });
  try {
    return await compare(leafIssue(ca), keyAndSignature());
  } finally {
    await ca.close();
    await ownBundle.close();
    await store.close();
  }
}

function leafIssue(ca: X509Ca): () => Promise<unknown> {
  const spiffeId = SpiffeId.parse('spiffe://bench.test/ns/prod/sa/web');
  const spkiHead = generateP256KeyPair().publicKey.subarray(0, -POINT_BYTES);
  return async () => {
    const publicKey = Buffer.concat([spkiHead, createECDH('prime256v1').generateKeys()]);
    return ca.issueX509Svid({ spiffeId, publicKey, ttlSeconds: 3600, dnsNames: [] });
  };
}

function keyAndSignature(): () => Promise<unknown> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const data = randomBytes(SIGNED_BYTES);
  return async () => {
    createECDH('prime256v1').generateKeys();
    return sign('sha256', data, privateKey);
  };
}

async function compare(
  one: () => Promise<unknown>,
  other: () => Promise<unknown>,
): Promise<{ readonly value: number; readonly baseline: number }> {
  const values: number[] = [];
  const baselines: number[] = [];
  await perSecond(one);
  await perSecond(other);
  for (let round = 0; round < ROUNDS; round++) {
    values.push(await perSecond(one));
    baselines.push(await perSecond(other));
  }
  return { value: median(values), baseline: median(baselines) };
}

async function perSecond(action: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  let count = 0;
  let elapsedMs = 0;
  while (elapsedMs < ROUND_MS) {
    await action();
    count++;
    elapsedMs = performance.now() - start;
  }
  return (count / elapsedMs) * 1000;
}
