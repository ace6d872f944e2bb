import { randomBytes } from 'node:crypto';
import {
  type AuthorityControl,
  type AuthorityKind,
  createJwtCa,
  createX509Ca,
  type JwtCaOptions,
  type X509CaOptions,
} from '../../src/ca/index.ts';
import { type OwnBundle, openOwnBundle } from '../../src/federation/index.ts';
import { createMetrics, type Metrics, silentLog } from '../../src/ops/index.ts';
import {
  generateP256KeyPair,
  parseCertificate,
  parseJwtSvid,
  parseX509Svid,
  verifyJwtSvid,
  verifyX509Svid,
} from '../../src/spiffe/index.ts';
import { type CaGround, createCaGround, testTrustDomain, testWorkloadId } from './ca-world.ts';

/** Running authorities of one kind with their bundle, whatever they sign. */
export interface AuthorityWorld extends CaGround {
  readonly ca: AuthorityControl & { close(): Promise<void> };
  readonly ownBundle: OwnBundle;
  readonly metrics: Metrics;
  /** Has an SVID signed, verifies it as a peer that has this bundle would, and returns who signed it. */
  sign(): Promise<SignedProbe>;
  /** IDs of what the bundle holds. */
  published(): readonly string[];
  /** IDs of what it holds tainted. */
  tainted(): readonly string[];
  close(): Promise<void>;
}

export interface SignedProbe {
  readonly authorityId: string;
  readonly expiresAt: number;
  /** Throws when a peer does not take it now. */
  verify(): void;
}

export type AuthorityWorldOptions = Partial<
  Pick<X509CaOptions, 'caTtlSeconds' | 'keyType' | 'log' | 'gate'> &
    Pick<JwtCaOptions, 'refreshHintSeconds'>
>;

/** Starts the real thing. */
export async function startAuthorities(
  kind: AuthorityKind,
  ground: CaGround = createCaGround(),
  options: AuthorityWorldOptions = {},
): Promise<AuthorityWorld> {
  const { clock, bucket, keyManager } = ground;
  const trustDomain = testTrustDomain;
  const metrics = createMetrics();
  const ownBundle = await openOwnBundle({ bucket, trustDomain, clock, log: silentLog });
  const common = {
    trustDomain,
    serverId: 's1',
    bucket,
    keyManager,
    ownBundle: ownBundle.publisherFor('s1'),
    clock,
    random: randomBytes,
    log: silentLog,
    metrics,
    ...options,
  };
  try {
    const signer = kind === 'x509' ? await startX509(common) : await startJwt(common);
    return {
      ...ground,
      ca: signer.ca,
      ownBundle,
      metrics,
      async sign() {
        const { authorityId, expiresAt, verify } = await signer.sign();
        const probe = { authorityId, expiresAt, verify: () => verify(ownBundle, clock.now()) };
        probe.verify();
        return probe;
      },
      published: () => signer.inBundle(ownBundle).map(({ id }) => id),
      tainted: () =>
        signer
          .inBundle(ownBundle)
          .filter(({ tainted }) => tainted)
          .map(({ id }) => id),
      async close() {
        await signer.ca.close();
        await ownBundle.close();
      },
    };
  } catch (error) {
    await ownBundle.close();
    throw error;
  }
}

interface Signer {
  readonly ca: AuthorityWorld['ca'];
  sign(): Promise<{
    readonly authorityId: string;
    readonly expiresAt: number;
    verify(bundle: OwnBundle, now: number): void;
  }>;
  inBundle(bundle: OwnBundle): readonly { readonly id: string; readonly tainted: boolean }[];
}

async function startX509(options: X509CaOptions): Promise<Signer> {
  const ca = await createX509Ca(options);
  const { publicKey } = generateP256KeyPair();
  const request = { spiffeId: testWorkloadId, publicKey, ttlSeconds: 0, dnsNames: [] };
  return {
    ca,
    async sign() {
      const { certificateChain, expiresAt } = await ca.issueX509Svid(request);
      const svid = parseX509Svid(certificateChain);
      return {
        authorityId: hex(svid.leaf.authorityKeyId),
        expiresAt,
        verify: (bundle, now) => verifyX509Svid(svid, bundle.current(), now),
      };
    },
    inBundle: (bundle) =>
      bundle.current().x509Authorities.map(({ certificate, tainted }) => ({
        id: hex(parseCertificate(certificate).subjectKeyId),
        tainted,
      })),
  };
}

async function startJwt(options: JwtCaOptions): Promise<Signer> {
  const ca = await createJwtCa(options);
  const audience = ['somebody'];
  return {
    ca,
    async sign() {
      const issued = await ca.issueJwtSvid({ spiffeId: testWorkloadId, audience, ttlSeconds: 0 });
      return {
        authorityId: parseJwtSvid(issued.token).keyId,
        expiresAt: issued.expiresAt,
        verify: (bundle, now) =>
          void verifyJwtSvid(issued.token, {
            audience: 'somebody',
            bundleOf: () => bundle.current(),
            now,
            leewayMs: 0,
          }),
      };
    },
    inBundle: (bundle) =>
      bundle.current().jwtAuthorities.map(({ keyId, tainted }) => ({ id: keyId, tainted })),
  };
}

function hex(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString('hex');
}
