import type { SpiffeId } from '../spiffe/index.ts';
import { buildSeconds, buildSpiffeId, type WireSpiffeId } from '../sync/index.ts';

/** spire.api.types.X509SVID */
export interface WireX509Svid {
  readonly cert_chain: readonly Uint8Array[];
  readonly id: WireSpiffeId;
  readonly expires_at: string;
  readonly hint?: string;
}

export function buildX509Svid(
  spiffeId: SpiffeId,
  svid: { readonly certificateChain: readonly Uint8Array[]; readonly expiresAt: number },
): WireX509Svid {
  return {
    cert_chain: svid.certificateChain,
    id: buildSpiffeId(spiffeId),
    expires_at: buildSeconds(svid.expiresAt),
  };
}
