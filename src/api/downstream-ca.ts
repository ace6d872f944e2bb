import type { X509Ca } from '../ca/index.ts';
import type { Log } from '../ops/index.ts';
import {
  type AuditLog,
  type Clock,
  parseCsr,
  quote,
  type SpiffeId,
  type TrustDomain,
  type TrustMapSource,
  TrustplaneError,
} from '../spiffe/index.ts';
import type { Authorization, CallOfSomebody, Downstream } from './authorization.ts';
import { x509Issuance } from './issuance-event.ts';

/** spire.api.server.svid.v1.NewDownstreamX509CARequest */
export interface DownstreamRequest {
  readonly csr?: Uint8Array;
  readonly preferred_ttl?: number;
}

/** What servers below this one are given their authorities with. */
export interface DownstreamOptions {
  readonly trustDomain: TrustDomain;
  readonly trustMap: TrustMapSource;
  readonly downstreamCa: Pick<X509Ca, 'issueDownstreamCa'>;
  /** Told of each server below that was heard of. */
  readonly onDownstream: (id: SpiffeId) => void;
  readonly audit: AuditLog;
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Log;
}

/**
 * Signs an authority for a server below this one, which may sign for the whole trust domain: its key,
 * under a name of ours, for as long as its entry says at most.
 * @throws TrustplaneError ERR_API_CALLER, ERR_API_REQUEST, ERR_CSR*, ERR_CA_*, ERR_AUDIT_WRITE
 */
export async function signDownstream(
  options: DownstreamOptions & {
    readonly authorization: Pick<Authorization, 'downstreamOf'>;
  },
  { csr = new Uint8Array(), preferred_ttl: preferredTtl = 0 }: DownstreamRequest,
  call: CallOfSomebody,
): Promise<object> {
  const { downstreamCa, authorization, trustDomain, trustMap, audit, clock, log } = options;
  if (preferredTtl < 0) {
    throw refused(`preferred_ttl: expected 0 or more seconds; got ${preferredTtl}`);
  }
  const { publicKey, uriSans } = parseCsr(csr);
  checkName(uriSans, trustDomain);
  // Asked for last, so that nothing lies between the answer and the signature.
  const downstream = requireDownstream(authorization, call);
  const { spiffeId, entry } = downstream;
  const ttlSeconds = lifeSeconds(preferredTtl, entry.x509SvidTtlSeconds);
  const issued = await downstreamCa.issueDownstreamCa({
    publicKey,
    ttlSeconds,
    ...(entry.expiresAt !== undefined && { notAfterLimit: entry.expiresAt }),
  });
  const { certificateChain, serialNumber, expiresAt } = issued;
  const requester = { kind: 'spiffe-id', spiffeId: spiffeId.toString() } as const;
  const reason = { spiffeId: trustDomain.id, entry, requester, purpose: 'downstream' } as const;
  await audit.record([x509Issuance(reason, issued, clock.now())]);
  options.onDownstream(spiffeId);
  log.info(
    {
      downstreamId: spiffeId.toString(),
      entryId: entry.id,
      serialNumber,
      expiresAt: new Date(expiresAt).toISOString(),
    },
    'an authority of a server below was signed',
  );
  const { x509Authorities } = trustMap.current().own;
  return {
    ca_cert_chain: certificateChain,
    x509_authorities: x509Authorities.map(({ certificate }) => certificate),
  };
}

/** @throws TrustplaneError ERR_API_CALLER when it is none any more */
export function requireDownstream(
  authorization: Pick<Authorization, 'downstreamOf'>,
  call: CallOfSomebody,
): Downstream {
  const downstream = authorization.downstreamOf(call);
  if (downstream !== undefined) return downstream;
  throw new TrustplaneError('ERR_API_CALLER', 'the downstream entry of the caller is gone');
}

/** The shorter of what is wanted and what the entry allows; 0 says nothing. */
function lifeSeconds(preferred: number, allowed: number): number {
  return preferred === 0 || allowed === 0
    ? Math.max(preferred, allowed)
    : Math.min(preferred, allowed);
}

function checkName(uriSans: readonly string[], { id }: TrustDomain): void {
  if (uriSans.length === 1 && uriSans[0] === id) return;
  const got = uriSans.slice(0, 3).map((text) => quote(text));
  throw refused(`csr: expected the URI SAN ${id} alone; got ${got.join(', ') || 'none'}`);
}

function refused(message: string): TrustplaneError {
  return new TrustplaneError('ERR_API_REQUEST', message);
}
