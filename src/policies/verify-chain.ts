import { type PolicyHead, type StoredVersion, versionKey } from './policy-records.ts';

/** The versions that lead to the head, the oldest first, and what is wrong with them. */
export interface Chain {
  readonly versions: readonly StoredVersion[];
  readonly faults: readonly string[];
}

/** Follows the chain from the head back to the first version that is kept. @param found by key */
export function walkChain(head: PolicyHead, found: ReadonlyMap<string, StoredVersion>): Chain {
  const versions: StoredVersion[] = [];
  const faults: string[] = [];
  let hash = head.hash;
  for (let version = head.version; version >= head.first; ) {
    const stored = found.get(versionKey(version, hash));
    if (stored === undefined) {
      faults.push(`version ${version} with the hash ${hash} is not there`);
      break;
    }
    if (stored.version !== version || stored.hash !== hash) {
      faults.push(`version ${version} is another than the hash ${hash} says`);
      break;
    }
    versions.push(stored);
    hash = stored.previous;
    version = stored.follows ?? version - 1;
  }
  if (faults.length === 0 && hash !== head.anchor)
    faults.push(`version ${head.first} follows on ${hash}, and not on ${head.anchor}`);
  return { versions: versions.reverse(), faults };
}
