import { createPublicKey, type KeyObject } from 'node:crypto';
import { messageOf, parseCertificate, TrustplaneError } from '../../spiffe/index.ts';
import type { NodeAttestation } from './node-attestor.ts';
import {
  encodeCertificates,
  encodeResponse,
  NONCE_BYTES,
  parseChallenge,
  type X509PopChallenge,
} from './x509pop-messages.ts';
import { signNonces } from './x509pop-proof.ts';

/** A node's certificates, leaf first, and the key of the leaf. */
export interface X509PopIdentity {
  /** DER. */
  readonly certificateChain: readonly Uint8Array[];
  /** EC or RSA. */
  readonly privateKey: KeyObject;
}

export interface X509PopAttestationOptions {
  /** Asked at each attestation, so that what was renewed is used. */
  readonly loadIdentity: () => Promise<X509PopIdentity>;
  readonly randomBytes: (size: number) => Uint8Array;
}

/** The agent's side. */
export function createX509PopAttestation(options: X509PopAttestationOptions): NodeAttestation {
  return {
    name: 'x509pop',
    async begin() {
      const { certificateChain, privateKey } = await options.loadIdentity();
      const kind = requireOwnKey(certificateChain[0], privateKey);
      return {
        payload: encodeCertificates(certificateChain),
        async answer(bytes) {
          const challenge = parseChallenge(bytes);
          if (challenge.kind !== kind) throw otherKey(kind, challenge.kind);
          return encodeResponse(
            signNonces(privateKey, challenge, options.randomBytes(NONCE_BYTES)),
          );
        },
      };
    },
  };
}

/** @throws TrustplaneError ERR_NODE_ATTEST_IDENTITY */
function requireOwnKey(
  certificate: Uint8Array | undefined,
  privateKey: KeyObject,
): X509PopChallenge['kind'] {
  if (certificate === undefined) throw unusable('there is no certificate');
  const { publicKey, keyAlgorithm } = parsed(certificate);
  if (keyAlgorithm.kind === 'other') throw unusable('its key is neither EC nor RSA');
  const own = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  if (Buffer.compare(own, publicKey) !== 0) throw unusable('the private key is of another one');
  return keyAlgorithm.kind;
}

function parsed(certificate: Uint8Array) {
  try {
    return parseCertificate(certificate);
  } catch (error) {
    throw unusable(messageOf(error));
  }
}

function unusable(why: string): TrustplaneError {
  const message = `the certificate of this node cannot be used: ${why}`;
  return new TrustplaneError('ERR_NODE_ATTEST_IDENTITY', message);
}

function otherKey(own: string, asked: string): TrustplaneError {
  const message = `this node has a key of the kind ${own}; the server asks for one of the kind ${asked}`;
  return new TrustplaneError('ERR_NODE_ATTEST_CHALLENGE', message);
}
