import type { LaggardView, RotationView } from '../client/index.ts';
import { formatFields, formatTable } from './table.ts';

const titles = { x509: 'X.509', jwt: 'JWT' } as const;

/** The rotation of one kind, for people. */
export function formatRotation(rotation: RotationView): string {
  const { gate, alarm, failure } = rotation;
  const parts = [
    authorityTable(rotation),
    formatFields([
      ['Next step', `${rotation.nextStep}, by ${rotation.nextStepAt}`],
      ['Gate', gate === null ? '' : gateText(gate)],
      ['Alarm', alarm === null ? '' : alarmText(alarm)],
      ['Failure', failure ?? ''],
    ]),
  ];
  if (gate !== null && gate.behind.length > 0) parts.push(laggardText(gate));
  if (alarm !== null && alarm.behind.length > 0) parts.push(laggardText(alarm));
  return parts.join('\n\n');
}

/** With what stands above them, if anything does. */
function authorityTable({ authorities }: RotationView): string {
  const isBelow = authorities.some(({ upstreamId }) => upstreamId !== null);
  return formatTable(
    ['slot', 'authority', 'valid until', 'bundle', ...(isBelow ? ['upstream'] : [])],
    authorities.map(({ slot, authorityId, expiresAt, published, tainted, upstreamId }) => [
      slot,
      authorityId,
      expiresAt,
      bundleText(published, tainted),
      ...(isBelow ? [upstreamId ?? ''] : []),
    ]),
  );
}

/** Every kind, under its name. */
export function formatRotations(rotations: readonly RotationView[]): string {
  return rotations
    .map((rotation) => `${titles[rotation.kind]} authorities\n\n${formatRotation(rotation)}`)
    .join('\n\n\n');
}

function bundleText(published: boolean, tainted: boolean): string {
  if (!published) return 'no';
  return tainted ? 'tainted' : 'yes';
}

function gateText({ open, opensAt, behindCount }: NonNullable<RotationView['gate']>): string {
  if (open) return 'open: everybody knows the prepared authority';
  const by = opensAt === null ? '' : `, until ${opensAt}`;
  return `closed: waits for ${behindCount}${by}`;
}

function alarmText({ authorityId, at, behindCount }: NonNullable<RotationView['alarm']>): string {
  return `${authorityId} signs since ${at} although ${behindCount} did not know it`;
}

function laggardText(of: {
  readonly behind: readonly LaggardView[];
  readonly behindCount: number;
}): string {
  const table = formatTable(
    ['behind', 'why'],
    of.behind.map(({ who, why }) => [who, why]),
  );
  const more = of.behindCount - of.behind.length;
  return more > 0 ? `${table}\nand ${more} more` : table;
}
