import type { X509Ca } from '../ca/index.ts';
import type { Log } from '../ops/index.ts';
import {
  type Clock,
  generateP256KeyPair,
  messageOf,
  SpiffeId,
  type TrustDomain,
} from '../spiffe/index.ts';
import type { TlsIdentity } from '../wire/index.ts';

const RETRY_MS = 1_000;

export interface ServerIdentityOptions {
  readonly trustDomain: TrustDomain;
  readonly ca: Pick<X509Ca, 'issueX509Svid'>;
  readonly clock: Clock;
  readonly log: Log;
}

interface Held {
  readonly identity: TlsIdentity;
  readonly issuedAt: number;
  /** Of the SVID. */
  readonly expiresAt: number;
  renewAt: number;
}

/**
 * What the server presents: `spiffe://<trust domain>/spire/server`, with a new key for each SVID. The
 * returned function is asked for each connection, and renews what is past half of its life; when that
 * fails, what is still valid stays in use.
 */
export function createServerIdentity(options: ServerIdentityOptions): () => TlsIdentity {
  const { clock, log } = options;
  let held: Held | undefined;
  return () => {
    const now = clock.now();
    if (held !== undefined && now >= held.issuedAt && now < held.renewAt) return held.identity;
    try {
      held = issue(options, now);
    } catch (error) {
      if (held === undefined || now >= held.expiresAt) throw error;
      held.renewAt = now + RETRY_MS;
      log.warn({ error: messageOf(error) }, 'the SVID of the server was not renewed');
    }
    return held.identity;
  };
}

function issue({ trustDomain, ca }: ServerIdentityOptions, now: number): Held {
  const { publicKey, privateKey } = generateP256KeyPair();
  const spiffeId = SpiffeId.of(trustDomain, '/spire/server');
  const svid = ca.issueX509Svid({ spiffeId, publicKey, ttlSeconds: 0, dnsNames: [] });
  const { certificateChain, expiresAt } = svid;
  const renewAt = now + (expiresAt - now) / 2;
  return { identity: { certificateChain, privateKey }, issuedAt: now, expiresAt, renewAt };
}
