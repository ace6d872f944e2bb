import type { Bundle, IdScope, WorkloadUpdate, X509Identity } from '../spiffe/index.ts';
import { SpiffeId, TrustplaneError } from '../spiffe/index.ts';

/** The resource names that are not SPIFFE IDs; the defaults are SPIRE's. */
export interface SdsNames {
  /** The caller's first identity. */
  readonly defaultSvid: string;
  /** The bundle of the own trust domain. */
  readonly defaultBundle: string;
  /** The own bundle and those of all trust domains the caller federates with. */
  readonly allBundles: string;
}

export const defaultSdsNames: SdsNames = {
  defaultSvid: 'default',
  defaultBundle: 'ROOTCA',
  allBundles: 'ALL',
};

/** A trust domain that a validation context is to hold. */
export interface TrustedDomain {
  readonly bundle: Bundle;
  /** Which of its SPIFFE IDs are accepted; undefined: all. */
  readonly accept: readonly IdScope[] | undefined;
  /** DER, one for each authority of the bundle; undefined: nothing is checked against CRLs. */
  readonly crls?: readonly Uint8Array[] | undefined;
}

/** What a resource name stands for, for one caller. */
export type Meaning =
  | { readonly kind: 'certificate'; readonly identity: X509Identity }
  | { readonly kind: 'validation'; readonly domains: readonly [TrustedDomain, ...TrustedDomain[]] };

/** Why a name stands for nothing. */
export type NoMeaning = 'refused' | 'pending';

/**
 * Refuses names that could mean two things.
 * @throws TrustplaneError ERR_SDS_NAMES
 */
export function checkSdsNames(names: SdsNames): void {
  const all = [names.defaultSvid, names.defaultBundle, names.allBundles];
  const bad = all.find((name) => name === '' || name === '*' || name.startsWith('spiffe:'));
  if (bad === undefined && new Set(all).size === all.length) return;
  throw new TrustplaneError(
    'ERR_SDS_NAMES',
    `the SDS names must be three different names, none empty, "*" or a SPIFFE ID; got ${JSON.stringify(all)}`,
  );
}

/** Resolves a resource name against what the caller may have. A caller without an identity has nothing. */
export function resolveName(
  name: string,
  update: WorkloadUpdate,
  names: SdsNames,
): Meaning | NoMeaning {
  const [first] = update.identities;
  if (first === undefined) return 'pending';
  if (name === names.defaultSvid) return { kind: 'certificate', identity: first };
  if (name === names.defaultBundle) return validation(update, update.bundle);
  if (name === names.allBundles) {
    return validation(update, update.bundle, federatedBundles(update));
  }
  const id = tryParse(name);
  if (id === undefined) return 'refused';
  return id.isTrustDomainId ? resolveBundle(id, update) : resolveIdentity(id, update);
}

/** The names a wildcard stands for: each identity by its SPIFFE ID, each bundle by its trust domain's. */
export function entitledNames(update: WorkloadUpdate): readonly string[] {
  if (update.identities.length === 0) return [];
  const bundles = [update.bundle, ...federatedBundles(update)];
  return [
    ...new Set(update.identities.map((identity) => identity.spiffeId.toString())),
    ...bundles.map((bundle) => bundle.trustDomain.id),
  ];
}

/** The trust domain whose bundle `name` asks for; undefined for a name of a certificate or of nothing. */
export function trustDomainOf(
  name: string,
  update: WorkloadUpdate,
  names: SdsNames,
): string | undefined {
  if (name === names.defaultBundle || name === names.allBundles) {
    return update.bundle.trustDomain.name;
  }
  const id = tryParse(name);
  return id?.isTrustDomainId === true ? id.trustDomain.name : undefined;
}

function resolveIdentity(id: SpiffeId, update: WorkloadUpdate): Meaning | NoMeaning {
  const identity = update.identities.find((candidate) => candidate.spiffeId.equals(id));
  return identity === undefined ? 'refused' : { kind: 'certificate', identity };
}

function resolveBundle(id: SpiffeId, update: WorkloadUpdate): Meaning | NoMeaning {
  if (update.bundle.trustDomain.equals(id.trustDomain)) return validation(update, update.bundle);
  const federated = update.federatedBundles.get(id.trustDomain.name);
  if (federated !== undefined) return validation(update, federated);
  const entitled = update.identities.some((identity) =>
    identity.federatesWith.some((trustDomain) => trustDomain.equals(id.trustDomain)),
  );
  return entitled ? 'pending' : 'refused';
}

function validation(
  { accept, bundle: own, crls }: WorkloadUpdate,
  bundle: Bundle,
  others: readonly Bundle[] = [],
): Meaning {
  const trust = (each: Bundle): TrustedDomain => ({
    bundle: each,
    accept: accept.get(each.trustDomain.name),
    crls: each === own && crls?.length !== 0 ? crls : undefined,
  });
  return { kind: 'validation', domains: [trust(bundle), ...others.map(trust)] };
}

/** By name, so that equal content has equal bytes. */
function federatedBundles(update: WorkloadUpdate): Bundle[] {
  return [...update.federatedBundles.values()].sort((a, b) =>
    a.trustDomain.name < b.trustDomain.name ? -1 : 1,
  );
}

function tryParse(name: string): SpiffeId | undefined {
  try {
    return SpiffeId.parse(name);
  } catch {
    return undefined;
  }
}
