import { randomBytes } from 'node:crypto';
import {
  createJwtCa,
  createMemoryKeyManager,
  createX509Ca,
  type JwtCa,
  type KeyManager,
  type X509Ca,
  type X509CaOptions,
} from '../../src/ca/index.ts';
import { createTrustMapSource, type OwnBundle, openOwnBundle } from '../../src/federation/index.ts';
import { createMetrics, silentLog } from '../../src/ops/index.ts';
import {
  generateP256KeyPair,
  parseX509Svid,
  SpiffeId,
  TrustDomain,
  type TrustMapSource,
  verifyX509Svid,
} from '../../src/spiffe/index.ts';
import { type Bucket, createMemoryStore } from '../../src/store/index.ts';
import { FakeClock } from './fake-clock.ts';

/** What outlives a server: its store, its keys, and time. */
export interface CaGround {
  readonly clock: FakeClock;
  readonly bucket: Bucket;
  readonly keyManager: KeyManager;
}

/** A running CA with its bundle and trust map. */
export interface CaWorld extends CaGround {
  readonly ca: X509Ca;
  readonly ownBundle: OwnBundle;
  readonly trustMap: TrustMapSource;
  close(): Promise<void>;
}

export const testTrustDomain: TrustDomain = TrustDomain.parse('a.test');
export const testWorkloadId: SpiffeId = SpiffeId.parse('spiffe://a.test/web');

/** A ground whose keys outlive the server, as on disk. */
export function createCaGround(clock: FakeClock = new FakeClock()): CaGround {
  const bucket = createMemoryStore({ clock }).bucket('authorities');
  return { clock, bucket, keyManager: { ...createMemoryKeyManager(), isDurable: true } };
}

/** Starts the real thing on this ground. */
export async function startCa(
  ground: CaGround = createCaGround(),
  options: Partial<X509CaOptions> = {},
): Promise<CaWorld> {
  const { clock, bucket, keyManager } = ground;
  const trustDomain = testTrustDomain;
  const ownBundle = await openOwnBundle({ bucket, trustDomain, clock, log: silentLog });
  const trustMap = createTrustMapSource({ ownBundle });
  try {
    const ca = await createX509Ca({
      trustDomain,
      serverId: 's1',
      bucket,
      keyManager,
      ownBundle: ownBundle.publisherFor('s1'),
      clock,
      random: randomBytes,
      log: silentLog,
      metrics: createMetrics(),
      ...options,
    });
    const close = async (): Promise<void> => {
      await ca.close();
      await ownBundle.close();
    };
    return { ...ground, ca, ownBundle, trustMap, close };
  } catch (error) {
    await ownBundle.close();
    throw error;
  }
}

/** The JWT authorities of the same server. */
export async function startJwtCa(world: CaWorld): Promise<JwtCa> {
  const { clock, bucket, keyManager, ownBundle } = world;
  return await createJwtCa({
    trustDomain: testTrustDomain,
    serverId: 's1',
    bucket,
    keyManager,
    ownBundle: ownBundle.publisherFor('s1'),
    clock,
    random: randomBytes,
    log: silentLog,
    metrics: createMetrics(),
  });
}

/** Issues a leaf and verifies it as a peer that has this trust map would. */
export async function issueVerified(
  { ca, trustMap, clock }: CaWorld,
  ttlSeconds: number = 0,
): Promise<{
  readonly certificateChain: readonly Uint8Array[];
  readonly expiresAt: number;
}> {
  const { publicKey } = generateP256KeyPair();
  const svid = await ca.issueX509Svid({
    spiffeId: testWorkloadId,
    publicKey,
    ttlSeconds,
    dnsNames: [],
  });
  verifyX509Svid(parseX509Svid(svid.certificateChain), trustMap.current().own, clock.now());
  return svid;
}
