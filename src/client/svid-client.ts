import {
  buildCsr,
  type P256KeyPair,
  parseJwtSvid,
  parseX509Svid,
  type SpiffeId,
  TrustplaneError,
} from '../spiffe/index.ts';
import { dialAdmin } from './admin-call.ts';

export interface X509MintRequest {
  readonly spiffeId: SpiffeId;
  /** Stays here. */
  readonly keys: P256KeyPair;
  readonly dnsNames: readonly string[];
  /** 0 takes the server's default. */
  readonly ttlSeconds: number;
}

export interface JwtMintRequest {
  readonly spiffeId: SpiffeId;
  /** At least one. */
  readonly audience: readonly string[];
  /** 0 takes the server's default. */
  readonly ttlSeconds: number;
}

export interface MintedX509 {
  /** DER, leaf first. */
  readonly certificateChain: readonly Uint8Array[];
  readonly serialNumber: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

export interface MintedJwt {
  /** JWS compact serialization. */
  readonly token: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

/** Has the server sign for any workload ID, over the admin socket. Every call fails with a TrustplaneError. */
export interface SvidClient {
  mintX509(request: X509MintRequest): Promise<MintedX509>;
  mintJwt(request: JwtMintRequest): Promise<MintedJwt>;
  close(): void;
}

/** @throws TrustplaneError ERR_SOCKET_PATH, ERR_SOCKET_PATH_TOO_LONG */
export function createSvidClient(socket: string): SvidClient {
  const { call, close } = dialAdmin(socket);
  return {
    async mintX509({ spiffeId, keys, dnsNames, ttlSeconds }) {
      const csr = buildCsr({ ...keys, spiffeId, dnsNames });
      const { svid } = await call<{ svid?: { cert_chain?: readonly Uint8Array[] } | null }>(
        'SVID',
        'MintX509SVID',
        { csr, ttl: ttlSeconds },
      );
      const certificateChain = svid?.cert_chain ?? [];
      const parsed = parseX509Svid(certificateChain);
      if (!parsed.spiffeId.equals(spiffeId)) throw strange('an SVID of another ID');
      const { serialNumber, notAfter } = parsed.leaf;
      return { certificateChain, serialNumber, expiresAt: notAfter };
    },
    async mintJwt({ spiffeId, audience, ttlSeconds }) {
      const id = { trust_domain: spiffeId.trustDomain.name, path: spiffeId.path };
      const { svid } = await call<{ svid?: { token?: string } | null }>('SVID', 'MintJWTSVID', {
        id,
        audience,
        ttl: ttlSeconds,
      });
      const token = svid?.token ?? '';
      const parsed = parseJwtSvid(token);
      if (!parsed.spiffeId.equals(spiffeId)) throw strange('an SVID of another ID');
      return { token, expiresAt: parsed.expiresAt };
    },
    close,
  };
}

function strange(what: string): TrustplaneError {
  return new TrustplaneError('ERR_REMOTE', `the server answered with ${what}`);
}
