import type { AuditEvent } from '../spiffe/index.ts';
import type { LedgerRecord } from './ledger-record.ts';

/** Which records are wanted; all that is given has to hold. */
export interface LedgerFilter {
  /** Milliseconds since the epoch, of writing; from there on. */
  readonly since?: number | undefined;
  /** Before then. */
  readonly until?: number | undefined;
  readonly kind?: AuditEvent['kind'] | undefined;
  /** Of what was issued, or of who asked. */
  readonly spiffeId?: string | undefined;
  /** Lower-case hex, with or without leading zeros. */
  readonly serialNumber?: string | undefined;
  /** The agent that asked, or was attested. */
  readonly agentId?: string | undefined;
  /** The line has one of these as a string somewhere. */
  readonly anyOf?: readonly string[] | undefined;
}

/** What a record that the filter takes has in its line: a look at the text spares most of the parsing. */
export function textsOf(filter: LedgerFilter): readonly string[] {
  const { kind, spiffeId, serialNumber, agentId } = filter;
  const texts = [kind, spiffeId, agentId].filter((text) => text !== undefined);
  const quoted = texts.map((text) => JSON.stringify(text));
  return serialNumber === undefined ? quoted : [...quoted, bare(serialNumber)];
}

export function isWanted(
  filter: LedgerFilter,
  { at, event }: Pick<LedgerRecord, 'at' | 'event'>,
): boolean {
  const { since = -Infinity, until = Infinity, kind, spiffeId, serialNumber, agentId } = filter;
  return (
    at >= since &&
    at < until &&
    (kind === undefined || event.kind === kind) &&
    (spiffeId === undefined || idsOf(event).includes(spiffeId)) &&
    (serialNumber === undefined || isOfSerial(event, serialNumber)) &&
    (agentId === undefined || agentOf(event) === agentId)
  );
}

/** The agent that an event is about, or that asked. */
export function agentOf(event: AuditEvent): string | undefined {
  if (event.kind === 'attestation') return event.agentId;
  if (event.kind === 'ledger') return undefined;
  if (event.kind !== 'admin' && event.purpose === 'agent') return event.spiffeId;
  return event.requester.kind === 'agent' ? event.requester.spiffeId : undefined;
}

function idsOf(event: AuditEvent): readonly (string | undefined)[] {
  if (event.kind === 'attestation') return [event.agentId];
  if (event.kind === 'ledger') return [];
  const asked = 'spiffeId' in event.requester ? event.requester.spiffeId : undefined;
  return event.kind === 'admin' ? [asked] : [event.spiffeId, asked];
}

function isOfSerial(event: AuditEvent, serialNumber: string): boolean {
  return event.kind === 'x509-svid' && bare(event.serialNumber) === bare(serialNumber);
}

function bare(hex: string): string {
  return hex.toLowerCase().replace(/^0+/u, '');
}
