import type { OwnBundlePublisher } from '../federation/index.ts';
import { formatDuration, type Log } from '../ops/index.ts';
import {
  type Clock,
  quote,
  type SpiffeId,
  type TrustMapSource,
  TrustplaneError,
} from '../spiffe/index.ts';
import { buildBundleMessage, parseBundleMessage, type WireTokenKey } from '../sync/index.ts';
import type { Authorization, CallOfSomebody } from './authorization.ts';
import { requireDownstream } from './downstream-ca.ts';

/** Of all servers below; each has two or three. The bundle holds 1,000. */
const MAX_KEYS = 256;

/** Or as long as this server's own authorities, if that is longer: nobody takes back the key of a server that is gone. */
const MIN_LONGEST_MS = 30 * 86_400_000;

/** spire.api.server.bundle.v1.PublishJWTAuthorityRequest */
export interface PublishJwtRequest {
  readonly jwt_authority?: WireTokenKey | null;
}

/** What servers below this one publish their JWT authorities with. */
export interface DownstreamJwtOptions {
  readonly trustMap: TrustMapSource;
  /** Of what they publish. */
  readonly downstreamBundle: Pick<OwnBundlePublisher, 'publishJwt' | 'jwtAuthorities'>;
  readonly authorization: Pick<Authorization, 'downstreamOf'>;
  /** Life of this server's own authorities. */
  readonly caTtlMs: number;
  /** Told of each server below that was heard of. */
  readonly onDownstream: (id: SpiffeId) => void;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Puts a JWT authority of a server below into the bundle, until it ends: within 30 days, or `caTtlMs`.
 * @throws TrustplaneError ERR_API_CALLER, ERR_API_REQUEST, ERR_SYNC_BUNDLE, ERR_KEY_EXISTS,
 * ERR_DOWNSTREAM_LIMIT, ERR_STORE_*
 */
export async function publishDownstreamJwt(
  options: DownstreamJwtOptions,
  { jwt_authority: message }: PublishJwtRequest,
  call: CallOfSomebody,
): Promise<object> {
  const { trustMap, downstreamBundle, authorization, caTtlMs, clock, log } = options;
  const { own } = trustMap.current();
  const { name } = own.trustDomain;
  const jwtAuthorities = message ? [message] : [];
  const [key] = parseBundleMessage({
    trust_domain: name,
    jwt_authorities: jwtAuthorities,
  }).jwtAuthorities;
  if (key === undefined) throw refused('none');
  checkEnd(key.expiresAt, clock.now(), Math.max(caTtlMs, MIN_LONGEST_MS));
  const { spiffeId } = requireDownstream(authorization, call);
  const isKnown = own.jwtAuthorities.some(({ keyId }) => keyId === key.keyId);
  if (!isKnown && downstreamBundle.jwtAuthorities().length >= MAX_KEYS) {
    throw new TrustplaneError(
      'ERR_DOWNSTREAM_LIMIT',
      `servers below published ${MAX_KEYS} JWT authorities that have not ended, as many as may be`,
    );
  }
  await downstreamBundle.publishJwt(key);
  options.onDownstream(spiffeId);
  if (!isKnown) {
    const fields = { downstreamId: spiffeId.toString(), keyId: quote(key.keyId) };
    log.info(fields, 'a server below published a JWT authority');
  }
  const mask = { jwt_authorities: true };
  return { jwt_authorities: buildBundleMessage(trustMap.current().own, mask).jwt_authorities };
}

function checkEnd(expiresAt: number | undefined, now: number, longestMs: number): void {
  if (expiresAt === undefined || expiresAt <= now) throw refused('one that does not');
  if (expiresAt > now + longestMs)
    throw refused(`one that ends after ${formatDuration(longestMs)}`);
}

function refused(got: string): TrustplaneError {
  const message = `jwt_authority: expected a key that ends after now, and not long after; got ${got}`;
  return new TrustplaneError('ERR_API_REQUEST', message);
}
