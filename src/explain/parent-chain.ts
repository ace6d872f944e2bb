import { formatSelector, type RegistrationEntry, type SelectorSet } from '../spiffe/index.ts';
import type { ParentChain } from './situation.ts';

const SERVER_PATH = '/spire/server';
const AGENT_PREFIX = '/spire/agent/';
const MAX_PARENTS = 1_000;

/** The agent that the way is to lead to. */
export interface ChainGoal {
  /** Path of its SPIFFE ID. */
  readonly path: string;
  readonly nodeSelectors: SelectorSet;
}

/** The entries that give an ID, by its path. */
export type EntriesAt = (path: string) => Iterable<RegistrationEntry>;

/**
 * The way from an entry up to an agent: by entries that give the parent's ID, to the agent itself or a node alias that
 * its node shows. Without a goal any agent, or alias, is good.
 */
export function findParentChain(
  { parentId }: RegistrationEntry,
  goal: ChainGoal | undefined,
  entriesAt: EntriesAt,
): ParentChain {
  const ahead: { id: RegistrationEntry['parentId']; path: readonly string[] }[] = [
    { id: parentId, path: [parentId.toString()] },
  ];
  const seen = new Set<string>();
  let broken: ParentChain | undefined;
  for (let step = ahead.shift(); step !== undefined; step = ahead.shift()) {
    const { id, path } = step;
    if (seen.has(id.path) || seen.size >= MAX_PARENTS) continue;
    seen.add(id.path);
    if (id.path === goal?.path) return { reaches: true, path };
    if (id.path.startsWith(AGENT_PREFIX)) {
      if (goal === undefined) return { reaches: true, path };
      broken = later(broken, { reaches: false, path, end: endAt(path, 'other-agent') });
      continue;
    }
    const parents = [...entriesAt(id.path)];
    if (parents.length === 0) {
      broken = later(broken, { reaches: false, path, end: endAt(path, 'no-such-parent') });
    }
    for (const parent of parents) {
      if (parent.parentId.path !== SERVER_PATH) {
        ahead.push({ id: parent.parentId, path: [...path, parent.parentId.toString()] });
        continue;
      }
      const missing = parent.selectors
        .map(formatSelector)
        .filter((text) => goal?.nodeSelectors.has(text) === false);
      if (missing.length === 0) return { reaches: true, path };
      const end = endAt(path, 'alias-not-shown');
      broken = later(broken, { reaches: false, path, end, missing });
    }
  }
  return broken ?? { reaches: false, path: [parentId.toString()] };
}

function endAt(path: readonly string[], why: 'no-such-parent' | 'other-agent' | 'alias-not-shown') {
  return { id: path.at(-1) ?? '', why };
}

/** Of several ways that break, the one that goes farthest. */
function later(one: ParentChain | undefined, other: ParentChain): ParentChain {
  return one !== undefined && one.path.length >= other.path.length ? one : other;
}
