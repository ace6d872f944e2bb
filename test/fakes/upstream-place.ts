import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buildCaTbs } from '../../src/ca/ca-certificate.ts';
import type { DiskUpstreamFiles } from '../../src/ca/disk-upstream.ts';
import type { KeyType, SigningKey } from '../../src/ca/key-manager.ts';
import { createSigningKey } from '../../src/ca/private-key.ts';
import { createSerialNumbers } from '../../src/ca/serial-number.ts';
import { assembleCertificate } from '../../src/ca/signature-algorithm.ts';
import { encodePem, parseCertificate, type TrustDomain } from '../../src/spiffe/index.ts';

const makeSerialNumber = createSerialNumbers(randomBytes);

/** A root or an authority below one, with its key. */
export interface TestAuthority {
  readonly certificate: Uint8Array;
  readonly key: SigningKey & { signNow(data: Uint8Array): Uint8Array };
  /** PEM. */
  readonly privateKey: string;
}

export interface TestAuthorityOptions {
  readonly now: number;
  readonly lifeMs?: number;
  readonly keyType?: KeyType;
  readonly issuer?: TestAuthority;
  readonly pathLength?: number;
  readonly trustDomain?: TrustDomain;
}

const generators = {
  'ec-p256': () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  'ec-p384': () => generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  'rsa-2048': () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  'rsa-4096': () => generateKeyPairSync('rsa', { modulusLength: 4096 }),
} as const;

/** Self-signed without an issuer. */
export function makeAuthority(options: TestAuthorityOptions): TestAuthority {
  const { now, lifeMs = 30 * 86_400_000, keyType = 'ec-p256', issuer, pathLength } = options;
  const { privateKey } = generators[keyType]();
  const key = createSigningKey('test', keyType, privateKey);
  const signer = issuer?.key ?? key;
  const above = issuer && parseCertificate(issuer.certificate);
  const tbs = buildCaTbs({
    key: signer,
    serialNumber: makeSerialNumber(now),
    notBefore: now - 60_000,
    notAfter: Math.floor((now + lifeMs) / 1000) * 1000,
    trustDomain: options.trustDomain,
    ...(above !== undefined && {
      issued: {
        publicKey: key.publicKey,
        issuerName: above.subject.der,
        issuerKeyId: above.subjectKeyId ?? new Uint8Array(),
        pathLength: pathLength ?? 2,
      },
    }),
  });
  return {
    certificate: assembleCertificate(tbs, signer.keyType, signer.signNow(tbs)),
    key,
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

/** Files of an upstream authority, which a test may change. */
export interface UpstreamPlace extends AsyncDisposable {
  readonly files: Required<DiskUpstreamFiles>;
  /** The authority and what leads up from it, its key, and the roots. */
  write(chain: readonly TestAuthority[], roots: readonly TestAuthority[]): void;
}

export function createUpstreamPlace(): UpstreamPlace {
  const folder = mkdtempSync(path.join(tmpdir(), 'tp-upstream-'));
  const files = {
    certificateFile: path.join(folder, 'ca.pem'),
    privateKeyFile: path.join(folder, 'ca.key'),
    bundleFile: path.join(folder, 'roots.pem'),
  };
  const pem = (all: readonly TestAuthority[]): string =>
    all.map(({ certificate }) => encodePem('CERTIFICATE', certificate)).join('');
  return {
    files,
    write(chain, roots) {
      writeFileSync(files.certificateFile, pem(chain));
      writeFileSync(files.privateKeyFile, chain[0]?.privateKey ?? '', { mode: 0o600 });
      writeFileSync(files.bundleFile, pem(roots));
    },
    async [Symbol.asyncDispose]() {
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
