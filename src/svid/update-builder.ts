import type {
  Bundle,
  IdScope,
  RegistrationEntry,
  TrustMap,
  WorkloadUpdate,
  X509Identity,
} from '../spiffe/index.ts';
import { contentVersion } from './content-version.ts';
import { type IssuedSvid, isServable } from './issued-svid.ts';
import { recall } from './recall.ts';

/** An entry and the SVID it has now. */
export interface EntrySvid {
  readonly entry: RegistrationEntry;
  readonly svid: IssuedSvid | undefined;
}

/** The update for these entries, oldest first; what is not servable is held back. `crls`: of the own trust domain. */
export function buildWorkloadUpdate(
  items: readonly EntrySvid[],
  trust: TrustMap,
  now: number,
  crls: readonly Uint8Array[] = [],
): WorkloadUpdate {
  const hints = new Set<string>();
  const identities = items.flatMap(({ entry, svid }) => {
    const hint = hints.has(entry.hint) ? '' : entry.hint;
    hints.add(hint);
    if (svid === undefined || !isServable(entry, svid, trust.own, now)) return [];
    return [identityOf(entry, svid, hint)];
  });
  const federatedBundles = federatedOf(identities, trust);
  const accept = acceptOf(federatedBundles.keys(), trust);
  const version = contentVersion(identities, trust.own, federatedBundles, accept, crls);
  return { version, identities, bundle: trust.own, federatedBundles, accept, crls };
}

function federatedOf(
  identities: readonly X509Identity[],
  trust: TrustMap,
): ReadonlyMap<string, Bundle> {
  const names = new Set(identities.flatMap((each) => each.federatesWith.map(({ name }) => name)));
  const bundles = new Map<string, Bundle>();
  for (const name of [...names].sort()) {
    const bundle = trust.federated.get(name);
    if (bundle !== undefined) bundles.set(name, bundle);
  }
  return bundles;
}

function acceptOf(names: Iterable<string>, { terms }: TrustMap): WorkloadUpdate['accept'] {
  const accept = new Map<string, readonly IdScope[]>();
  for (const name of names) {
    const scopes = terms.get(name)?.accept ?? [];
    if (scopes.length > 0) accept.set(name, scopes);
  }
  return accept;
}

type Variants = Map<string, X509Identity>;
const identities = new WeakMap<IssuedSvid, WeakMap<RegistrationEntry, Variants>>();

/** One object per SVID, entry and hint, so that all sets that hold it share it. */
function identityOf(entry: RegistrationEntry, svid: IssuedSvid, hint: string): X509Identity {
  const byEntry = recall(identities, svid, () => new WeakMap<RegistrationEntry, Variants>());
  const variants = recall(byEntry, entry, (): Variants => new Map());
  return recall(variants, hint, () => ({
    entryId: entry.id,
    spiffeId: svid.spiffeId,
    hint,
    certificateChain: svid.certificateChain,
    privateKey: svid.privateKey,
    notBefore: svid.notBefore,
    expiresAt: svid.expiresAt,
    federatesWith: entry.federatesWith,
  }));
}
