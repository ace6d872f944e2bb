import {
  type Bundle,
  type P256KeyPair,
  parseX509Svid,
  type SpiffeId,
  type TrustDomain,
  TrustplaneError,
  verifyX509Svid,
} from '../spiffe/index.ts';
import type { TlsIdentity } from '../wire/index.ts';

/** How far this host's clock may be behind the server's: servers judge the SVID by theirs. */
const CLOCK_TOLERANCE_MS = 300_000;

/** The agent's own X509-SVID with its key. Immutable. */
export interface NodeIdentity extends TlsIdentity {
  readonly agentId: SpiffeId;
  /** When it came, milliseconds since the epoch. */
  readonly issuedAt: number;
  readonly expiresAt: number;
  /** It is renewed by attesting again, and only so. */
  readonly canReattest: boolean;
}

/** spire.api.types.X509SVID as it was decoded. */
export interface WireX509Svid {
  readonly cert_chain?: readonly Uint8Array[];
  readonly expires_at?: string;
}

export interface IdentityContext {
  readonly trustDomain: TrustDomain;
  readonly keys: P256KeyPair;
  /** The own bundle now. */
  readonly bundle: Bundle;
  readonly now: number;
  readonly canReattest: boolean;
}

/**
 * Takes what a server gave the agent only if it is an agent's SVID of this trust domain for the key
 * that was asked for, valid below the bundle.
 * @throws TrustplaneError ERR_NODE_SVID
 */
export function acceptIdentity(
  svid: WireX509Svid | null | undefined,
  { trustDomain, keys, bundle, now, canReattest }: IdentityContext,
): NodeIdentity {
  const certificateChain = (svid?.cert_chain ?? []).map((der) => Uint8Array.from(der));
  try {
    const parsed = parseX509Svid(certificateChain);
    const { spiffeId, leaf } = parsed;
    if (!spiffeId.trustDomain.equals(trustDomain) || !spiffeId.path.startsWith('/spire/agent/')) {
      throw new Error(`${spiffeId.toString()} is no agent of ${trustDomain.name}`);
    }
    if (Buffer.compare(leaf.publicKey, keys.publicKey) !== 0) throw new Error('it has another key');
    const aheadMs = leaf.notBefore - now;
    if (aheadMs > CLOCK_TOLERANCE_MS) throw new Error('the clocks of server and agent disagree');
    verifyX509Svid(parsed, bundle, Math.max(now, leaf.notBefore));
    const { privateKey } = keys;
    const expiresAt = leaf.notAfter;
    return {
      agentId: spiffeId,
      certificateChain,
      privateKey,
      issuedAt: now,
      expiresAt,
      canReattest,
    };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new TrustplaneError('ERR_NODE_SVID', `the SVID for this agent is refused: ${why}`, {
      cause: error,
    });
  }
}

/** Whether servers and peers that have this bundle take the identity. */
export function isBelow({ certificateChain }: NodeIdentity, bundle: Bundle, now: number): boolean {
  try {
    const svid = parseX509Svid(certificateChain);
    verifyX509Svid(svid, bundle, Math.max(now, svid.leaf.notBefore));
    return true;
  } catch {
    return false;
  }
}
