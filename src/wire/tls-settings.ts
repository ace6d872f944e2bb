import { constants } from 'node:crypto';
import type { SecureContextOptions } from 'node:tls';
import { encodePem, messageOf, TrustplaneError } from '../spiffe/index.ts';

/** A certificate chain with its key, as one end of TLS presents it. Immutable: a renewed one is another object. */
export interface TlsIdentity {
  /** DER, leaf first. */
  readonly certificateChain: readonly Uint8Array[];
  /** PKCS#8 DER. */
  readonly privateKey: Uint8Array;
}

/** The protocol of gRPC, as ALPN names it. */
export const ALPN_PROTOCOLS: string[] = ['h2'];

/** Mozilla's intermediate configuration: forward secrecy and authenticated encryption only. */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

/**
 * Makes something of TLS 1.2 and 1.3 without resumption and renegotiation, both of which would skip
 * the check of the peer's SVID. OpenSSL itself trusts nobody: `CheckedSvid` judges chains.
 * @throws TrustplaneError ERR_TLS_IDENTITY when chain and key do not fit, or are not what they should be
 */
export function withTlsSettings<Made>(
  identity: TlsIdentity | undefined,
  make: (options: SecureContextOptions) => Made,
): Made {
  try {
    return make(buildOptions(identity));
  } catch (error) {
    const message = `the own certificate and key cannot be presented: ${messageOf(error)}`;
    throw new TrustplaneError('ERR_TLS_IDENTITY', message);
  }
}

function buildOptions(identity: TlsIdentity | undefined): SecureContextOptions {
  const settings: SecureContextOptions = {
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
    ecdhCurve: 'X25519MLKEM768:X25519:P-256:P-384',
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
    ca: [],
  };
  if (identity === undefined) return settings;
  const cert = identity.certificateChain.map((der) => encodePem('CERTIFICATE', der)).join('');
  return { ...settings, cert, key: encodePem('PRIVATE KEY', identity.privateKey) };
}
