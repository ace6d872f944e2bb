import type {
  HolderView,
  ImpactView,
  RevocationsView,
  RevocationView,
  RevokedView,
  SuspensionView,
} from '../client/revocation-client.ts';
import { formatTable } from './table.ts';

/** `1 entry gives no SVIDs, …`: whom it concerns. */
export function formatImpact(impact: ImpactView): string {
  const { suspendedEntries, reissuedEntries, spiffeIds, agents } = impact;
  const { runningWorkloads, runningAgents, silentAgents } = impact;
  const parts = [
    ...(suspendedEntries > 0 ? [`nothing is issued for ${entries(suspendedEntries)}`] : []),
    ...(reissuedEntries > 0 ? [`new SVIDs are issued for ${entries(reissuedEntries)}`] : []),
  ];
  if (parts.length === 0) return 'no entry is concerned';
  const running =
    runningWorkloads === 0
      ? 'no running workload'
      : `${counted(runningWorkloads, 'running workload')} on ${counted(runningAgents, 'agent')}`;
  const silent = silentAgents === 0 ? '' : `; ${counted(silentAgents, 'agent')} did not say`;
  const where = `${counted(spiffeIds, 'SPIFFE ID')}, on ${counted(agents, 'agent')}`;
  return `${parts.join(', ')} (${where}): ${running}${silent}`;
}

function formatHolder({ spiffeId, entryId, agentId, purpose, ...life }: HolderView): string {
  const entry = entryId === null ? '' : `, of the entry ${entryId}`;
  const agent = agentId === null ? '' : `, got by ${agentId}`;
  return `it is of ${spiffeId} (${purpose})${entry}${agent}, from ${life.issuedAt} until ${life.expiresAt}`;
}

/** What was done, or would be. */
export function formatRevoked(
  { revocations, suspension, impact, holder }: RevokedView,
  { isReissued, isDryRun }: { readonly isReissued: boolean; readonly isDryRun: boolean },
): string {
  const who = holder === null ? [] : [formatHolder(holder)];
  if (isDryRun)
    return [`nothing is done; it would be so: ${formatImpact(impact)}`, ...who].join('\n');
  const [first] = revocations;
  const others = revocations.length > 1 ? `, and ${revocations.length - 1} more` : '';
  const lines = [
    `revoked the ${first?.kind ?? ''} ${first?.value ?? ''}${others}: what was issued before ${first?.issuedBefore ?? ''} is refused until ${first?.until ?? ''}`,
    isReissued ? 'suspended nothing' : `suspended the ${suspension?.kind} ${suspension?.value}`,
    formatImpact(impact),
    ...who,
  ];
  return lines.join('\n');
}

export function formatRevocations({ suspensions, revocations }: RevocationsView): string {
  const parts = [
    ...(suspensions.length > 0 ? [formatSuspensions(suspensions)] : ['no suspensions']),
    ...(revocations.length > 0 ? [formatRefused(revocations)] : ['no revocations']),
  ];
  return parts.join('\n\n');
}

function formatSuspensions(suspensions: readonly SuspensionView[]): string {
  return formatTable(
    ['suspended', 'value', 'since', 'by', 'reason', 'until', 'lifted by', 'because'],
    suspensions.map(({ kind, value, since, by, reason, lifted }) => [
      kind,
      value,
      since,
      by,
      reason || '-',
      lifted?.at ?? 'it is lifted',
      lifted?.by ?? '-',
      lifted?.reason || '-',
    ]),
  );
}

function formatRefused(revocations: readonly RevocationView[]): string {
  return formatTable(
    ['revoked', 'value', 'issued before', 'by', 'reason', 'until'],
    revocations.map(({ kind, value, issuedBefore, by, reason, until }) => [
      kind,
      value,
      issuedBefore,
      by ?? 'the server',
      reason || '-',
      until,
    ]),
  );
}

function entries(count: number): string {
  return count === 1 ? '1 entry' : `${count} entries`;
}

function counted(count: number, what: string): string {
  return count === 1 ? `1 ${what}` : `${count} ${what}s`;
}
