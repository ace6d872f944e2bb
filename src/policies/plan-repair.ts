import { TrustplaneError } from '../spiffe/index.ts';
import { isBroken, type PolicyHistory } from './policy-history.ts';
import {
  type PolicyHead,
  type PolicyRecords,
  type StoredVersion,
  versionKey,
} from './policy-records.ts';

/** How a history that is broken goes on. */
export interface Repair {
  /** Of what is left; undefined: nothing is. */
  readonly head: (PolicyHead & { readonly revision: number }) | undefined;
  /** Of the record of the head, whatever is in it; 0: there is none. */
  readonly revision: number;
  /** Of the version that is next. */
  readonly facts: { readonly version: number; readonly follows: number };
  readonly faults: readonly string[];
}

/**
 * @param known hash of the version that was in force last, where that is known
 * @throws TrustplaneError ERR_POLICY_SET where nothing is broken; ERR_STORE_*
 */
export async function planRepair(
  records: Pick<PolicyRecords, 'damagedHead' | 'lastNumber' | 'versions' | 'texts'>,
  history: Pick<PolicyHistory, 'verify'>,
  known: string | undefined,
): Promise<Repair> {
  const { head, revision } = await records.damagedHead();
  const last = Math.max(head?.version ?? 0, await records.lastNumber());
  const found = (await history.verify()).faults;
  const faults = revision === 0 && last > 0 ? ['the head is gone', ...found] : found;
  if (faults.length === 0)
    throw new TrustplaneError(
      'ERR_POLICY_SET',
      'the history of the policies is whole: there is nothing to repair',
    );
  const versions = await findWhole(records, head, known);
  const [first] = versions;
  const tip = versions.at(-1);
  const left = first &&
    tip && {
      version: tip.version,
      hash: tip.hash,
      first: first.version,
      anchor: first.previous,
      revision,
    };
  // No number is given twice: who had a version that is lost is behind.
  const facts = { version: last + 1, follows: tip?.version ?? 0 };
  return { head: left, revision, facts, faults };
}

/**
 * What is left of a history that is broken: the latest version that is whole, with its files, and those before it as
 * far as they are, the oldest first.
 * @param head undefined where it cannot be read
 * @param known hash of the version that was in force last, where that is known
 * @throws TrustplaneError ERR_STORE_*
 */
async function findWhole(
  records: Pick<PolicyRecords, 'versions' | 'texts'>,
  head: PolicyHead | undefined,
  known: string | undefined,
): Promise<readonly StoredVersion[]> {
  const found = new Map<string, StoredVersion>();
  for (const [key, stored] of await records.versions()) {
    if (key === versionKey(stored.version, stored.hash)) found.set(key, stored);
  }
  const tips = [...found.values()]
    .filter(
      ({ version, hash }) => head === undefined || version < head.version || hash === head.hash,
    )
    .sort((a, b) => b.version - a.version || orderOf(b) - orderOf(a) || b.createdAt - a.createdAt);
  for (const tip of tips) {
    const versions = await walkWhole(records, found, tip);
    if (versions.length > 0) return versions.reverse();
  }
  return [];

  // Of two with one number one never counted.
  function orderOf({ hash }: StoredVersion): number {
    return hash === known ? 1 : 0;
  }
}

async function walkWhole(
  records: Pick<PolicyRecords, 'texts'>,
  found: ReadonlyMap<string, StoredVersion>,
  tip: StoredVersion,
): Promise<StoredVersion[]> {
  const versions: StoredVersion[] = [];
  for (let next: StoredVersion | undefined = tip; next !== undefined; ) {
    if (!(await hasFiles(records, next))) break;
    versions.push(next);
    next = found.get(versionKey(next.follows ?? next.version - 1, next.previous));
  }
  return versions;
}

async function hasFiles(
  records: Pick<PolicyRecords, 'texts'>,
  stored: StoredVersion,
): Promise<boolean> {
  try {
    await records.texts(stored);
    return true;
  } catch (error) {
    if (isBroken(error)) return false;
    throw error;
  }
}
