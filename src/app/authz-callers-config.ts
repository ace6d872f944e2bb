import type { TokenOptions, XfccOptions } from '../check/index.ts';
import type { AuthzCallersFile } from './authz-callers-schema.ts';

/** Who callers are taken for, and what services are told of them. Plain values: they go to another thread. */
export interface AuthzCallersConfig {
  readonly jwtSvid: TokenOptions | undefined;
  readonly xfcc: XfccOptions | undefined;
  readonly assertion: AssertionConfig | undefined;
}

export interface AssertionConfig {
  /** Undefined: the trust domain's SPIFFE ID. */
  readonly issuer: string | undefined;
  readonly ttlSeconds: number;
  /** Undefined: keys are kept in memory alone. */
  readonly keyFile: string | undefined;
}

export function buildAuthzCallers({
  jwtSvid,
  xfcc,
  assertion,
}: AuthzCallersFile): AuthzCallersConfig {
  return {
    jwtSvid: jwtSvid && {
      header: jwtSvid.header ?? 'authorization',
      audiences: jwtSvid.audiences ?? 'destination',
      peers: jwtSvid.peers,
    },
    xfcc,
    assertion: assertion && {
      issuer: assertion.issuer,
      ttlSeconds: assertion.ttlSeconds ?? 60,
      keyFile: assertion.keyFile,
    },
  };
}
