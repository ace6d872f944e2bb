import { isCurrent } from '../spiffe/index.ts';
import { suspensionText } from './agent-findings.ts';
import { type Finding, finding, instantText, shellWord } from './finding.ts';
import type { EntryFacts, ParentChain, Situation } from './situation.ts';
import { explainSvid } from './svid-findings.ts';

/** An entry whose selectors are all shown: why it is served, or what is in the way. */
export function explainMatch(facts: EntryFacts, situation: Situation): readonly Finding[] {
  const barred = explainBar(facts, situation);
  if (barred !== undefined) return [barred];
  return [...explainRights(facts), ...explainSvid(facts, situation)];
}

function explainBar(facts: EntryFacts, { now, question }: Situation): Finding | undefined {
  const { entry, gone, suspension, chain, isHere } = facts;
  const { id, expiresAt } = entry;
  if (suspension !== undefined) return explainSuspension(facts);
  const again = createCommand(entry);
  if (gone?.how === 'deleted') {
    return finding(
      'entry-deleted',
      `entry ${id} was deleted at ${instantText(gone.at)}`,
      again,
      entry,
    );
  }
  if (gone !== undefined || !isCurrent(entry, now)) {
    const at = instantText(expiresAt ?? gone?.at ?? now);
    return finding('entry-expired', `entry ${id} expired at ${at}`, again, entry);
  }
  if (chain?.reaches === false) return explainChain(facts, chain);
  if (entry.storeSvid) {
    const message = `entry ${id} is for an SVID store: no workload gets it`;
    return finding(
      'store-svid-only',
      message,
      `trustplane entry update ${id} --no-store-svid`,
      entry,
    );
  }
  if (isHere || question.place === 'server') return undefined;
  return explainLag(facts);
}

function explainLag({ entry }: EntryFacts): Finding {
  const { id, revisionNumber } = entry;
  const message = `the server has entry ${id} at revision ${revisionNumber}; this agent does not have it so`;
  return finding('agent-behind', message, 'trustplane status --agent', entry);
}

function explainSuspension({ entry, suspension }: EntryFacts): Finding | undefined {
  if (suspension === undefined) return undefined;
  const text = suspensionText(suspension);
  const value = shellWord(suspension.value);
  switch (suspension.kind) {
    case 'agent':
      return finding(
        'agent-suspended',
        `the agent ${suspension.value} is suspended: ${text}`,
        `trustplane unsuspend --agent ${value}, on the server`,
        entry,
      );
    case 'entry':
      return finding(
        'entry-suspended',
        `entry ${entry.id} is suspended: ${text}`,
        `trustplane unsuspend --entry ${value}, on the server`,
        entry,
      );
    default:
      return finding(
        'id-suspended',
        `${suspension.value} is suspended: ${text}`,
        `trustplane unsuspend --spiffe-id ${value}, on the server`,
        entry,
      );
  }
}

function explainRights({ entry }: EntryFacts): readonly Finding[] {
  const { id, admin, downstream, disableX509SvidPrefetch, dnsNames } = entry;
  const found: Finding[] = [];
  if (admin) {
    const message = `whoever has ${entry.spiffeId.toString()} may use the server API`;
    found.push(
      finding(
        'admin-identity',
        message,
        `trustplane entry update ${id} --no-admin, where that is not meant`,
        entry,
      ),
    );
  }
  if (downstream) {
    const message = `whoever has ${entry.spiffeId.toString()} may be a server below this one`;
    found.push(
      finding(
        'downstream-identity',
        message,
        `trustplane entry update ${id} --no-downstream, where that is not meant`,
        entry,
      ),
    );
  }
  if (disableX509SvidPrefetch) {
    const message = `entry ${id} has disable_x509_svid_prefetch, which makes no difference here`;
    found.push(finding('prefetch-disabled', message, '', entry));
  }
  if (dnsNames.length > 0) {
    found.push(
      finding('dns-names', `its SVID has the DNS names ${dnsNames.join(', ')}`, '', entry),
    );
  }
  return found;
}

/** An entry that is near, but not all of whose selectors are shown. */
export function explainGaps({ entry, gaps }: EntryFacts): readonly Finding[] {
  const { id, spiffeId } = entry;
  return gaps.map(({ wanted, shown }) => {
    const want = `entry ${id} (${spiffeId.toString()}) wants ${wanted}`;
    if (wanted.startsWith('unix:path:') || wanted.startsWith('unix:sha256:')) {
      const runs =
        shown.length === 0
          ? 'what the process runs cannot be told'
          : `the process runs ${shown.join(', ')}`;
      return finding(
        'executable-differs',
        `${want}; ${runs}`,
        `${updateSelectors(entry, wanted, shown)}, or run ${wanted.split(':').slice(2).join(':')}`,
        entry,
      );
    }
    if (shown.length === 0) {
      return finding(
        'missing-selector',
        `${want}; the process shows nothing of that kind`,
        updateSelectors(entry, wanted, shown),
        entry,
      );
    }
    return finding(
      'selector-differs',
      `${want}; the process shows ${shown.join(', ')}`,
      updateSelectors(entry, wanted, shown),
      entry,
    );
  });
}

/** The entry as it would have to be for this process. */
function updateSelectors(
  { id, selectors }: EntryFacts['entry'],
  wanted: string,
  [instead]: readonly string[],
): string {
  const others = selectors
    .map(({ type, value }) => `${type}:${value}`)
    .filter((text) => text !== wanted);
  const all = instead === undefined ? others : [...others, instead];
  if (all.length === 0)
    return `trustplane entry show ${id}; then change its selectors, or run the process as it says`;
  return `trustplane entry update ${id} ${all.map((text) => `--selector ${shellWord(text)}`).join(' ')}`;
}

function explainChain({ entry }: EntryFacts, chain: ParentChain): Finding {
  const { id } = entry;
  const { end, missing = [], path } = chain;
  const way = path.join(' below ');
  switch (end?.why) {
    case 'other-agent':
      return finding(
        'wrong-parent',
        `entry ${id} matches, but is below ${way}, another agent`,
        `trustplane entry update ${id} --parent-id spiffe://…, an ID or alias of the agent it is meant for`,
        entry,
      );
    case 'alias-not-shown':
      return finding(
        'alias-not-shown',
        `entry ${id} matches, but is below ${way}, whose node shows ${missing.join(', ')}; that of the agent does not`,
        `trustplane entry show --spiffe-id ${shellWord(end.id)}; then change the alias, or what the node shows`,
        entry,
      );
    default:
      return finding(
        'parent-missing',
        `entry ${id} matches, but is below ${way}, and no agent or entry has that ID`,
        `trustplane entry create --node --spiffe-id ${shellWord(end?.id ?? path.at(-1) ?? '')} --selector …, or give entry ${id} another parent`,
        entry,
      );
  }
}

function createCommand({ spiffeId, parentId, selectors }: EntryFacts['entry']): string {
  const flags = selectors.map(({ type, value }) => `--selector ${shellWord(`${type}:${value}`)}`);
  return `trustplane entry create --spiffe-id ${spiffeId.toString()} --parent-id ${parentId.toString()} ${flags.join(' ')}`;
}
