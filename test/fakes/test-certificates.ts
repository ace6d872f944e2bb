import { webcrypto } from 'node:crypto';
import type { Bundle } from '../../src/spiffe/bundle.ts';
import { emptyBundle } from '../../src/spiffe/bundle.ts';
import { TrustDomain } from '../../src/spiffe/trust-domain.ts';
import * as oracle from '../oracles/x509.ts';

/** The middle of the validity of every test certificate. */
export const testNow: number = Date.UTC(2026, 5, 1);
const HOUR_MS = 3_600_000;
type KeyUsageName = keyof typeof oracle.KeyUsageFlags;

export type TestKeys = webcrypto.CryptoKeyPair;

/** A certificate with what is needed to issue from it. */
export interface TestCertificate {
  readonly der: Uint8Array;
  readonly keys: TestKeys;
  readonly subject: string;
}

/** What a test wants to be different from a good leaf (or, with `isCa`, a good authority). */
export interface TestCertificateOptions {
  readonly issuer?: TestCertificate;
  /** Default: `CN=leaf` or `CN=authority`. */
  readonly subject?: string;
  readonly uris?: readonly string[];
  readonly dns?: readonly string[];
  readonly isCa?: boolean;
  readonly pathLength?: number;
  readonly withoutBasicConstraints?: boolean;
  /** Null leaves the extension out. */
  readonly keyUsage?: readonly KeyUsageName[] | null;
  readonly isKeyUsageCritical?: boolean;
  /** Null leaves the extension out; the default for an authority. */
  readonly extendedKeyUsage?: readonly string[] | null;
  readonly extensions?: readonly oracle.Extension[];
  readonly notBefore?: number;
  readonly notAfter?: number;
  readonly keys?: TestKeys;
  readonly hash?: string;
  readonly withoutKeyIds?: boolean;
  readonly serialNumber?: string;
}

export const ecKeys = (namedCurve = 'P-256'): Promise<TestKeys> =>
  webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve }, true, ['sign', 'verify']);

export const rsaKeys = (modulusLength: number): Promise<TestKeys> =>
  webcrypto.subtle.generateKey(
    {
      name: 'RSASSA-PKCS1-v1_5',
      hash: 'SHA-256',
      modulusLength,
      publicExponent: new Uint8Array([1, 0, 1]),
    },
    true,
    ['sign', 'verify'],
  );

/** A public key of this size without the cost of finding primes: it can sign nothing. */
export async function hugeRsaKeys(bits: number): Promise<TestKeys> {
  const { subtle } = oracle.cryptoProvider.get();
  const modulus = Buffer.alloc(bits / 8, 0xff);
  const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
  const jwk = { kty: 'RSA', n: modulus.toString('base64url'), e: 'AQAB' };
  const publicKey = await subtle.importKey('jwk', jwk, algorithm, true, ['verify']);
  return { publicKey, privateKey: (await ecKeys()).privateKey };
}

/** Makes a certificate with @peculiar/x509: by default a good leaf `spiffe://a.test/web`, self-signed without issuer. */
export async function makeCertificate(
  options: TestCertificateOptions = {},
): Promise<TestCertificate> {
  const isCa = options.isCa ?? false;
  const keys = options.keys ?? (await ecKeys());
  const subject = options.subject ?? (isCa ? 'CN=authority' : 'CN=leaf');
  const signer = options.issuer?.keys ?? keys;
  const signing = { name: signer.privateKey.algorithm.name, hash: options.hash ?? 'SHA-256' };
  const certificate = await oracle.X509CertificateGenerator.create({
    ...(options.serialNumber === undefined ? {} : { serialNumber: options.serialNumber }),
    subject,
    issuer: options.issuer?.subject ?? subject,
    notBefore: new Date(options.notBefore ?? testNow - HOUR_MS),
    notAfter: new Date(options.notAfter ?? testNow + HOUR_MS),
    publicKey: keys.publicKey,
    signingKey: signer.privateKey,
    signingAlgorithm: signing,
    extensions: await extensionsOf(options, keys, signer),
  });
  return { der: new Uint8Array(certificate.rawData), keys, subject };
}

async function extensionsOf(
  options: TestCertificateOptions,
  keys: TestKeys,
  signer: TestKeys,
): Promise<oracle.Extension[]> {
  const isCa = options.isCa ?? false;
  const uris = options.uris ?? [isCa ? 'spiffe://a.test' : 'spiffe://a.test/web'];
  const names = [
    ...uris.map((value) => ({ type: 'url' as const, value })),
    ...(options.dns ?? []).map((value) => ({ type: 'dns' as const, value })),
  ];
  const usage = options.keyUsage === undefined ? defaultUsage(isCa) : options.keyUsage;
  const purposes =
    options.extendedKeyUsage === undefined ? defaultPurposes(isCa) : options.extendedKeyUsage;
  const extensions: oracle.Extension[] = [];
  if (options.withoutBasicConstraints !== true) {
    extensions.push(new oracle.BasicConstraintsExtension(isCa, options.pathLength, true));
  }
  if (usage !== null) {
    extensions.push(keyUsageExtension(usage, options.isKeyUsageCritical ?? true));
  }
  if (purposes !== null) extensions.push(new oracle.ExtendedKeyUsageExtension([...purposes]));
  if (names.length > 0) extensions.push(new oracle.SubjectAlternativeNameExtension(names));
  if (options.withoutKeyIds !== true) {
    extensions.push(await oracle.SubjectKeyIdentifierExtension.create(keys.publicKey));
    extensions.push(await oracle.AuthorityKeyIdentifierExtension.create(signer.publicKey));
  }
  return [...extensions, ...(options.extensions ?? [])];
}

function keyUsageExtension([first, ...others]: readonly KeyUsageName[], isCritical: boolean) {
  if (first === undefined) throw new Error('a key usage has at least one name');
  const flags = others.reduce<oracle.KeyUsageFlags>(
    (bits, name) => bits | oracle.KeyUsageFlags[name],
    oracle.KeyUsageFlags[first],
  );
  return new oracle.KeyUsagesExtension(flags, isCritical);
}

function defaultPurposes(isCa: boolean): readonly string[] | null {
  return isCa ? null : [oracle.ExtendedKeyUsage.serverAuth, oracle.ExtendedKeyUsage.clientAuth];
}

function defaultUsage(isCa: boolean): readonly KeyUsageName[] {
  return isCa ? ['keyCertSign', 'cRLSign'] : ['digitalSignature'];
}

/** Issues a self-signed authority. */
export const makeAuthority = (options: TestCertificateOptions = {}): Promise<TestCertificate> =>
  makeCertificate({ ...options, isCa: true });

/** A bundle of a trust domain with these X.509 authorities. */
export function bundleOf(name: string, ...authorities: readonly TestCertificate[]): Bundle {
  return {
    ...emptyBundle(TrustDomain.parse(name)),
    x509Authorities: authorities.map(({ der }) => ({ certificate: der, tainted: false })),
  };
}
