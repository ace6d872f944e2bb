import { createPublicKey, type KeyObject } from 'node:crypto';
import { readFileBounded } from '../../../ops/index.ts';
import { decodeBase64, messageOf, TrustplaneError } from '../../../spiffe/index.ts';
import type { NodeAttestation } from '../node-attestor.ts';
import { parseSshCertificate } from './ssh-certificate.ts';
import { parseSshPrivateKey } from './ssh-private-key.ts';
import type { SshPublicKey } from './ssh-public-key.ts';
import { signSsh } from './ssh-signature.ts';
import {
  combineNonces,
  encodeCertificate,
  encodeResponse,
  NONCE_BYTES,
  parseChallenge,
} from './sshpop-messages.ts';

const MAX_FILE_BYTES = 65_536;

/** A host's certificate, in OpenSSH's wire format, and its key. */
export interface SshHostIdentity {
  readonly certificate: Uint8Array;
  readonly privateKey: KeyObject;
}

export interface SshPopAttestationOptions {
  /** Asked at each attestation, so that what was renewed is used. */
  readonly loadIdentity: () => Promise<SshHostIdentity>;
  readonly randomBytes: (size: number) => Uint8Array;
}

/** The agent's side. */
export function createSshPopAttestation(options: SshPopAttestationOptions): NodeAttestation {
  return {
    name: 'sshpop',
    async begin() {
      const { certificate, privateKey } = await options.loadIdentity();
      const { type } = requireOwnKey(certificate, privateKey);
      return {
        payload: encodeCertificate(certificate),
        async answer(challenge) {
          const asked = parseChallenge(challenge);
          const nonce = options.randomBytes(NONCE_BYTES);
          const signature = signSsh(privateKey, type, combineNonces(asked, nonce));
          return encodeResponse({ nonce, signature });
        },
      };
    },
  };
}

/**
 * Loads what ssh-keygen makes: the certificate (`…-cert.pub`) and the private key, unencrypted.
 * @throws TrustplaneError ERR_NODE_ATTEST_IDENTITY, ERR_FILE_READ, ERR_FILE_TOO_LARGE
 */
export async function loadSshHostIdentity(files: {
  readonly certificatePath: string;
  readonly privateKeyPath: string;
}): Promise<SshHostIdentity> {
  return {
    certificate: await load(files.certificatePath, (line) => {
      const [, base64 = ''] = line.trim().split(/\s+/u);
      const bytes = decodeBase64(base64);
      if (bytes === undefined || bytes.length === 0) throw new Error('it holds no certificate');
      return bytes;
    }),
    privateKey: await load(files.privateKeyPath, parseSshPrivateKey),
  };
}

/** @throws TrustplaneError ERR_NODE_ATTEST_IDENTITY */
function requireOwnKey(certificate: Uint8Array, privateKey: KeyObject): SshPublicKey {
  let publicKey: SshPublicKey;
  try {
    ({ publicKey } = parseSshCertificate(certificate));
  } catch (error) {
    throw unusable('the certificate of this host', messageOf(error), error);
  }
  if (createPublicKey(privateKey).equals(publicKey.key)) return publicKey;
  throw unusable('the certificate of this host', 'the private key is of another one');
}

async function load<T>(path: string, parse: (text: string) => T): Promise<T> {
  const bytes = await readFileBounded(path, MAX_FILE_BYTES);
  if (bytes === undefined) throw unusable(path, 'it does not exist');
  try {
    return parse(Buffer.from(bytes).toString('utf8'));
  } catch (error) {
    throw unusable(path, messageOf(error), error);
  }
}

function unusable(what: string, why: string, cause?: unknown): TrustplaneError {
  const message = `${what} cannot be used: ${why}`;
  return new TrustplaneError('ERR_NODE_ATTEST_IDENTITY', message, { cause });
}
