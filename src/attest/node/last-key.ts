import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';
import {
  type Certificate,
  messageOf,
  parseX509Svid,
  type TrustDomain,
  TrustplaneError,
  type X509Svid,
} from '../../spiffe/index.ts';
import type { NodeAttestation, NodeAttestor } from './node-attestor.ts';

const NAME = 'last_key';
const NONCE_BYTES = 32;
const MAX_PAYLOAD_BYTES = 16_384;
/** Of an ECDSA signature in DER, and then some. */
const MAX_RESPONSE_BYTES = NONCE_BYTES + 1_024;
/** A signature for this purpose is none for another. */
const CONTEXT = Buffer.from('trustplane node attestation last_key v1\0');

interface LastKeyAttestorOptions {
  readonly trustDomain: TrustDomain;
  readonly randomBytes: (size: number) => Uint8Array;
}

/**
 * For agents that cannot attest again and whose SVID has expired: the payload is that SVID's
 * certificate (DER), the challenge a nonce, the response a nonce of the agent's own and the signature
 * with the certificate's key over both. Whether that agent, key and serial number are still known
 * is for the registry of agents to say.
 */
export function createLastKeyAttestor(options: LastKeyAttestorOptions): NodeAttestor {
  const { trustDomain, randomBytes } = options;
  return {
    name: NAME,
    async attest(payload, challenge) {
      const { spiffeId, leaf } = parseSvid(payload, trustDomain);
      const nonce = randomBytes(NONCE_BYTES);
      const response = await challenge(nonce);
      if (!isProof(leaf, nonce, response)) {
        const message = `who asks for ${spiffeId.toString()} did not sign with its last key`;
        throw new TrustplaneError('ERR_NODE_ATTEST_PROOF', message);
      }
      const { serialNumber, publicKey } = leaf;
      return {
        agentPath: spiffeId.path,
        selectors: [],
        canReattest: false,
        returning: { serialNumber, publicKey },
      };
    },
  };
}

/** The agent's side. `svid`: its last one, with its key (PKCS#8 DER). */
export function createLastKeyAttestation(
  svid: { readonly certificateChain: readonly Uint8Array[]; readonly privateKey: Uint8Array },
  randomBytes: (size: number) => Uint8Array,
): NodeAttestation {
  return {
    name: NAME,
    async begin() {
      const key = createPrivateKey({
        key: Buffer.from(svid.privateKey),
        format: 'der',
        type: 'pkcs8',
      });
      return {
        payload: svid.certificateChain[0] ?? new Uint8Array(),
        async answer(nonce) {
          if (nonce.length !== NONCE_BYTES) {
            const message = `expected a nonce of ${NONCE_BYTES} bytes; got ${nonce.length}`;
            throw new TrustplaneError('ERR_NODE_ATTEST_CHALLENGE', message);
          }
          const own = randomBytes(NONCE_BYTES);
          return Buffer.concat([own, sign('sha256', Buffer.concat([CONTEXT, nonce, own]), key)]);
        },
      };
    },
  };
}

function parseSvid(payload: Uint8Array, trustDomain: TrustDomain): X509Svid {
  try {
    if (payload.length > MAX_PAYLOAD_BYTES) throw new Error(`it has ${payload.length} bytes`);
    const svid = parseX509Svid([payload]);
    if (svid.spiffeId.trustDomain.equals(trustDomain)) return svid;
    throw new Error(`it is of ${svid.spiffeId.toString()}`);
  } catch (error) {
    const message = `the last SVID of an agent cannot be used: ${messageOf(error)}`;
    throw new TrustplaneError('ERR_NODE_ATTEST_PAYLOAD', message, { cause: error });
  }
}

function isProof({ publicKey }: Certificate, nonce: Uint8Array, response: Uint8Array): boolean {
  if (response.length <= NONCE_BYTES || response.length > MAX_RESPONSE_BYTES) return false;
  const own = response.subarray(0, NONCE_BYTES);
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' });
    const signed = Buffer.concat([CONTEXT, nonce, own]);
    return verify('sha256', signed, key, response.subarray(NONCE_BYTES));
  } catch {
    return false;
  }
}
