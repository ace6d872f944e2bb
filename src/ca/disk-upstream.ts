import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { readFileBounded } from '../ops/index.ts';
import {
  type Certificate,
  type Clock,
  decodePem,
  messageOf,
  parseCertificate,
  parseCsr,
  parsePublicKey,
  type TrustDomain,
  TrustplaneError,
  verifyCertificateChain,
} from '../spiffe/index.ts';
import { writeCaCertificate } from './ca-certificate.ts';
import type { KeyType, SigningKey } from './key-manager.ts';
import { wholeSecond } from './leaf-request.ts';
import { pathLengthBelow } from './path-length.ts';
import { readPrivateFile } from './private-file.ts';
import { createSigningKey } from './private-key.ts';
import { createSerialNumbers, type RandomBytes } from './serial-number.ts';
import type { UpstreamAuthority } from './upstream-authority.ts';

const MAX_FILE_BYTES = 262_144;
const MAX_KEY_BYTES = 65_536;
const BACKDATE_MS = 30_000;

/** All PEM, read each time they are needed. */
export interface DiskUpstreamFiles {
  /** The certificate of the authority, then what leads from it to a root, without that. */
  readonly certificateFile: string;
  /** Its private key, unencrypted; mode 0600. */
  readonly privateKeyFile: string;
  /** Roots; without it the authority has to be one. */
  readonly bundleFile?: string | undefined;
}

export interface DiskUpstreamOptions extends DiskUpstreamFiles {
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly random: RandomBytes;
}

interface FileAuthority {
  /** The authority first, the root last. */
  readonly path: readonly Certificate[];
  readonly roots: readonly Certificate[];
  readonly key: SigningKey;
}

/**
 * An upstream authority in files. Changed files are taken up by themselves; roots that are in them no
 * more stay in the bundle until they are revoked or have expired.
 */
export function createDiskUpstream(options: DiskUpstreamOptions): UpstreamAuthority {
  const { trustDomain, clock, random } = options;
  const makeSerialNumber = createSerialNumbers(random);
  return {
    name: options.certificateFile,
    async mint({ csr, ttlSeconds }) {
      const now = clock.now();
      const { path, roots, key } = await loadAuthority(options, now);
      const [issuer] = path;
      if (issuer === undefined) throw unusable(options.certificateFile, 'holds no certificate');
      const { publicKey } = parseCsr(csr);
      const certificate = await writeCaCertificate({
        key,
        serialNumber: makeSerialNumber(now),
        notBefore: Math.max(wholeSecond(now - BACKDATE_MS), issuer.notBefore),
        notAfter: Math.min(wholeSecond(now + ttlSeconds * 1_000), ...path.map((c) => c.notAfter)),
        trustDomain,
        issued: {
          publicKey,
          issuerName: issuer.subject.der,
          issuerKeyId: issuer.subjectKeyId ?? new Uint8Array(),
          pathLength: pathLengthBelow(issuer),
        },
      });
      const between = path.slice(0, -1).map(({ der }) => der);
      return { chain: [certificate, ...between], upstreamRoots: roots.map(({ der }) => der) };
    },
    async fetchTrust() {
      const { roots } = await loadAuthority(options, clock.now());
      return {
        x509Authorities: roots.map(({ der }) => ({ certificate: der, tainted: false })),
        jwtAuthorities: [],
        isComplete: false,
      };
    },
  };
}

/** @throws TrustplaneError ERR_CA_UPSTREAM_FILE, ERR_KEY_FILE_*, ERR_CA_PATH_LENGTH */
async function loadAuthority(files: DiskUpstreamFiles, now: number): Promise<FileAuthority> {
  const { certificateFile, privateKeyFile, bundleFile } = files;
  const chain = await loadCertificates(certificateFile);
  const roots = bundleFile === undefined ? chain.slice(0, 1) : await loadCertificates(bundleFile);
  const key = await loadKey(privateKeyFile);
  const [issuer] = chain;
  if (issuer === undefined || !Buffer.from(key.publicKey).equals(issuer.publicKey)) {
    throw unusable(certificateFile, `is not of the key in ${privateKeyFile}`);
  }
  if (issuer.subjectKeyId === undefined) {
    throw unusable(certificateFile, 'has no subject key identifier');
  }
  pathLengthBelow(issuer);
  return { path: findPath(chain, roots, certificateFile, now), roots, key };
}

function findPath(
  chain: readonly Certificate[],
  roots: readonly Certificate[],
  file: string,
  now: number,
): readonly Certificate[] {
  const [issuer] = chain;
  const root = roots.find(({ der }) => issuer !== undefined && sameDer(der, issuer.der));
  try {
    // Also of a root: it has to be valid, and signed by itself.
    const path = verifyCertificateChain(chain, roots, now);
    return root === undefined ? path : [root];
  } catch (cause) {
    throw unusable(file, `does not lead to a root: ${messageOf(cause)}`, cause);
  }
}

function sameDer(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}

async function loadCertificates(file: string): Promise<readonly Certificate[]> {
  try {
    const bytes = await readFileBounded(file, MAX_FILE_BYTES);
    if (bytes === undefined) throw new Error('it does not exist');
    const blocks = decodePem('CERTIFICATE', Buffer.from(bytes).toString('latin1'));
    return blocks.map(parseCertificate);
  } catch (cause) {
    throw unusable(file, `holds no certificates in PEM: ${messageOf(cause)}`, cause);
  }
}

async function loadKey(file: string): Promise<SigningKey> {
  const bytes = await readPrivateFile(file, MAX_KEY_BYTES);
  if (bytes === undefined) throw unusable(file, 'does not exist');
  const privateKey = parseKey(bytes, file);
  const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  return createSigningKey('upstream', keyTypeOf(new Uint8Array(spki), file), privateKey);
}

/** What goes wrong inside is not told: it could quote the key. */
function parseKey(bytes: Uint8Array, file: string): KeyObject {
  try {
    return createPrivateKey(Buffer.from(bytes));
  } catch {
    throw unusable(file, 'holds no unencrypted private key in PEM');
  }
}

/** RSA keys of all sizes sign the same way. */
function keyTypeOf(spki: Uint8Array, file: string): KeyType {
  try {
    const { type } = parsePublicKey(spki);
    return type === 'rsa' ? 'rsa-2048' : type;
  } catch (cause) {
    throw unusable(file, `holds a key that cannot sign here: ${messageOf(cause)}`, cause);
  }
}

function unusable(file: string, why: string, cause?: unknown): TrustplaneError {
  return new TrustplaneError(
    'ERR_CA_UPSTREAM_FILE',
    `the file ${file} of the upstream authority ${why}`,
    cause === undefined ? {} : { cause },
  );
}
