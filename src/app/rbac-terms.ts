import type { Facts } from '../facts/index.ts';
import type { Revocation, TrustMap } from '../spiffe/index.ts';
import type { AuthzConfig } from './authz-config.ts';
import type { PlainTerms } from './rbac-export.ts';

/** More would be megabytes in each Envoy. */
const MAX_REVOKED = 20_000;

/** What of the configuration says who callers are. */
export type CallerTerms = Pick<AuthzConfig, 'claims' | 'jwtSvid' | 'xfcc'>;

/**
 * What Envoy is to know of callers, as who answers checks knows it. Revocations of entries and of agents
 * name what no SVID says, so that nobody who judges SVIDs goes by them.
 */
export function rbacTerms(
  { trust, revocations }: Pick<Facts, 'trust' | 'revocations'>,
  { claims, jwtSvid, xfcc }: CallerTerms,
): PlainTerms {
  const revokedIds = valuesOf(revocations, 'spiffe-id');
  const revokedSerials = valuesOf(revocations, 'serial').map(envoySerial);
  const isBlind = revokedIds.length + revokedSerials.length > MAX_REVOKED;
  return {
    trusted: trustedDomains(trust),
    revokedIds: isBlind ? [] : revokedIds,
    revokedSerials: isBlind ? [] : revokedSerials,
    isBlind,
    tokenHeaders: jwtSvid === undefined ? [] : [jwtSvid.header],
    proxies: xfcc?.proxies ?? [],
    jwt: { namespace: claims.namespace, payloadKey: claims.key },
  };
}

/** The same when those who are revoked cannot be told: nobody is allowed by Envoy alone. */
export function blindTerms(terms: PlainTerms): PlainTerms {
  return { ...terms, revokedIds: [], revokedSerials: [], isBlind: true };
}

/** A trust domain without authorities vouches for nobody. */
function trustedDomains({ own, federated, terms }: TrustMap): PlainTerms['trusted'] {
  const bundles = [own, ...federated.values()].filter(
    ({ x509Authorities }) => x509Authorities.length > 0,
  );
  const names = bundles.map(({ trustDomain }) => trustDomain.name).sort();
  return names.map((trustDomain) => {
    const accept = terms.get(trustDomain)?.accept ?? [];
    return { trustDomain, accept: accept.length === 0 ? undefined : accept.map(String) };
  });
}

function valuesOf(revocations: readonly Revocation[], kind: Revocation['kind']): string[] {
  const values = revocations.flatMap((one) => (one.kind === kind ? one.value : []));
  return [...new Set(values)].sort();
}

/** Envoy writes whole octets, in lower case, without zeros in front. */
function envoySerial(hex: string): string {
  const digits = hex.toLowerCase().replace(/^0+/u, '');
  if (digits === '') return '0';
  return digits.length % 2 === 0 ? digits : `0${digits}`;
}
