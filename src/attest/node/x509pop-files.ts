import { createPrivateKey } from 'node:crypto';
import { readFileBounded } from '../../ops/index.ts';
import { decodePem, messageOf, TrustplaneError } from '../../spiffe/index.ts';
import type { X509PopIdentity } from './x509pop-attestation.ts';

const MAX_FILE_BYTES = 1 << 20;

export interface X509PopFiles {
  /** PEM: the certificate of the node, and what follows it in the chain. */
  readonly certificatePath: string;
  /** PEM, unencrypted. */
  readonly privateKeyPath: string;
  /** PEM: more of the chain. */
  readonly intermediatesPath?: string;
}

/** Loads what a node proves itself with. @throws TrustplaneError ERR_NODE_ATTEST_IDENTITY, ERR_FILE_READ, ERR_FILE_TOO_LARGE */
export async function loadX509PopIdentity(files: X509PopFiles): Promise<X509PopIdentity> {
  const leaf = await load(files.certificatePath, certificatesIn);
  const privateKey = await load(files.privateKeyPath, (pem) => createPrivateKey(pem));
  const { intermediatesPath } = files;
  const rest = intermediatesPath === undefined ? [] : await load(intermediatesPath, certificatesIn);
  return { certificateChain: [...leaf, ...rest], privateKey };
}

function certificatesIn(pem: string): Uint8Array[] {
  const certificates = decodePem('CERTIFICATE', pem);
  if (certificates.length === 0) throw new Error('it holds no certificate');
  return certificates;
}

async function load<T>(path: string, parse: (pem: string) => T): Promise<T> {
  const bytes = await readFileBounded(path, MAX_FILE_BYTES);
  if (bytes === undefined) throw unusable(path, 'it does not exist');
  try {
    return parse(Buffer.from(bytes).toString('utf8'));
  } catch (error) {
    throw unusable(path, messageOf(error));
  }
}

function unusable(path: string, why: string): TrustplaneError {
  return new TrustplaneError('ERR_NODE_ATTEST_IDENTITY', `${path} cannot be used: ${why}`);
}
