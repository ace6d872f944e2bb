import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { readFileBounded } from '../../ops/index.ts';
import { decodePem, messageOf, TrustplaneError } from '../../spiffe/index.ts';
import { type TlsIdentity, withTlsSettings } from '../../wire/index.ts';

const MAX_BYTES = 262_144;
const OTHERS = 0o007;

/** A certificate of Web PKI with its key. */
export interface WebCertificate {
  readonly identity: TlsIdentity;
  /** Of the leaf, milliseconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface CertificateFiles {
  /** PEM, leaf first. */
  readonly certificateFile: string;
  /** PEM, unencrypted. */
  readonly privateKeyFile: string;
}

/** Reads a certificate and its key, which must fit and be closed to others. @throws TrustplaneError ERR_ENDPOINT_CERTIFICATE */
export async function loadCertificate({
  certificateFile,
  privateKeyFile,
}: CertificateFiles): Promise<WebCertificate> {
  try {
    const { mode } = await stat(privateKeyFile);
    if ((mode & OTHERS) !== 0) {
      const shown = (mode & 0o7777).toString(8).padStart(4, '0');
      throw new Error(`${privateKeyFile} has mode ${shown}; expected 0600 or 0640`);
    }
    return parseCertificate(await read(certificateFile), await read(privateKeyFile));
  } catch (error) {
    throw unusable(`${certificateFile} with ${privateKeyFile}: ${messageOf(error)}`, error);
  }
}

/** @param chain PEM @param key PEM @throws what says why they are none */
export function parseCertificate(chain: string, key: string): WebCertificate {
  const certificateChain = decodePem('CERTIFICATE', chain);
  const [first] = certificateChain;
  if (first === undefined) throw new Error('there is no certificate');
  const leaf = new X509Certificate(first);
  const privateKey = readKey(key);
  if (!leaf.checkPrivateKey(privateKey)) throw new Error('the key is not that of the certificate');
  const der = privateKey.export({ type: 'pkcs8', format: 'der' });
  const identity = { certificateChain, privateKey: new Uint8Array(der) };
  withTlsSettings(identity, createSecureContext);
  const { validFromDate, validToDate } = leaf;
  return { identity, notBefore: validFromDate.getTime(), notAfter: validToDate.getTime() };
}

/** What OpenSSL says of a key might hold part of it. */
function readKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    throw new Error('the private key is not unencrypted PEM of a type that is known');
  }
}

async function read(path: string): Promise<string> {
  const bytes = await readFileBounded(path, MAX_BYTES);
  if (bytes === undefined) throw new Error(`${path} does not exist`);
  return Buffer.from(bytes).toString('latin1');
}

function unusable(why: string, cause: unknown): TrustplaneError {
  const message = `the certificate of the bundle endpoint cannot be used: ${why}`;
  return new TrustplaneError('ERR_ENDPOINT_CERTIFICATE', message, { cause });
}
