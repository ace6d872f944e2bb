import {
  type AttestationEvent,
  type AuditEvent,
  printable,
  type Requester,
} from '../spiffe/index.ts';
import type { OutputFormat } from './io.ts';

/** One record on one line, for people or as JSON. */
export function formatAuditLine(
  { text, file, line }: { readonly text: string; readonly file: string; readonly line: number },
  record: { readonly sequenceNumber: number; readonly at: number; readonly event: AuditEvent },
  output: OutputFormat,
): string {
  const { sequenceNumber, at, event } = record;
  const instant = new Date(at).toISOString();
  if (output === 'json') {
    const fields: unknown = JSON.parse(text);
    return JSON.stringify({ ...record, at: instant, file, line, previousHash: hashIn(fields) });
  }
  return printable(`${instant}  ${sequenceNumber}  ${describeEvent(event)}`);
}

function hashIn(fields: unknown): unknown {
  return typeof fields === 'object' && fields !== null ? Reflect.get(fields, 'prev') : undefined;
}

function describeEvent(event: AuditEvent): string {
  if (event.kind === 'ledger') return `ledger  ${event.what}: ${event.detail}`;
  if (event.kind === 'attestation') return describeAttestation(event);
  const by = describeRequester(event.requester);
  if (event.kind === 'admin') {
    const what = event.what === '' ? '' : `: ${event.what}`;
    return `admin  ${event.method}  ${event.outcome}, by ${by}${what}`;
  }
  const { kind, spiffeId, purpose, entryId, entryRevision = 0, authorityId } = event;
  const name = kind === 'x509-svid' ? event.serialNumber : event.audience.join(',');
  const entry = entryId === undefined ? '' : ` entry ${entryId} (${entryRevision})`;
  const end = new Date(event.expiresAt).toISOString();
  return `${kind}  ${spiffeId}  ${name}  ${purpose}${entry}, for ${by}, until ${end}, by ${authorityId}`;
}

function describeAttestation(event: AttestationEvent): string {
  const { agentId, from = 'an unknown address', outcome, code, attestor, unrecorded } = event;
  const who = agentId ?? `somebody at ${from}`;
  const why = code === undefined ? '' : ` ${code}`;
  const more = unrecorded === undefined ? '' : `, and ${unrecorded} before it`;
  return `attestation  ${who}  ${outcome}${why} (${attestor})${more}`;
}

function describeRequester(requester: Requester): string {
  if (requester.kind === 'server') return 'the server';
  if (requester.kind === 'user') return `user ${requester.name ?? requester.uid}`;
  return requester.spiffeId;
}
