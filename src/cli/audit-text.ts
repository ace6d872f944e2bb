import { type AuditEvent, printable, type Requester } from '../spiffe/index.ts';
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
  switch (event.kind) {
    case 'x509-svid':
    case 'jwt-svid': {
      const name = event.kind === 'x509-svid' ? event.serialNumber : event.audience.join(',');
      const entry =
        event.entryId === undefined ? '' : ` entry ${event.entryId} (${event.entryRevision ?? 0})`;
      const end = new Date(event.expiresAt).toISOString();
      return `${event.kind}  ${event.spiffeId}  ${name}  ${event.purpose}${entry}, for ${describeRequester(event.requester)}, until ${end}, by ${event.authorityId}`;
    }
    case 'attestation': {
      const more = event.unrecorded === undefined ? '' : `, and ${event.unrecorded} before it`;
      const who = event.agentId ?? `somebody at ${event.from ?? 'an unknown address'}`;
      return `attestation  ${who}  ${event.outcome}${event.code === undefined ? '' : ` ${event.code}`} (${event.attestor})${more}`;
    }
    case 'admin':
      return `admin  ${event.method}  ${event.outcome}, by ${describeRequester(event.requester)}: ${event.what}`;
    case 'ledger':
      return `ledger  ${event.what}: ${event.detail}`;
  }
}

function describeRequester(requester: Requester): string {
  if (requester.kind === 'server') return 'the server';
  if (requester.kind === 'user') return `user ${requester.name ?? requester.uid}`;
  return requester.spiffeId;
}
