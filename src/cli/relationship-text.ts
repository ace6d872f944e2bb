import type { RelationshipView } from '../client/index.ts';
import { formatDuration } from '../ops/duration.ts';
import { formatFields, formatTable } from './table.ts';

/** A table; `now` in milliseconds since the epoch. */
export function formatRelationships(
  relationships: readonly RelationshipView[],
  now: number,
): string {
  if (relationships.length === 0) return 'no relationships';
  return formatTable(
    ['trust domain', 'profile', 'bundle endpoint', 'sequence', 'age', 'last error'],
    relationships.map((one) => [
      one.trustDomain,
      one.bundleEndpointProfile,
      one.bundleEndpointUrl,
      sequenceOf(one),
      ageOf(one, now),
      one.lastError?.code ?? '-',
    ]),
  );
}

export function formatRelationship(one: RelationshipView, now: number): string {
  const { lastError, chain } = one;
  return formatFields([
    ['Trust domain', one.trustDomain],
    ['Bundle endpoint', one.bundleEndpointUrl],
    ['Profile', one.bundleEndpointProfile],
    ['Endpoint SPIFFE ID', one.endpointSpiffeId ?? ''],
    ['Web PKI', one.webCa === undefined ? '' : 'a private authority'],
    ['Accepted', one.accept.length === 0 ? 'all SPIFFE IDs' : one.accept.join(', ')],
    ['Broadcast by', one.publisherId],
    ['Awaited', one.awaitAck ? 'new authorities wait for it' : ''],
    ['Kept by', one.configured ? 'the configuration' : ''],
    ['Sequence', sequenceOf(one)],
    ['Confirmed', one.lastSuccessAt === null ? 'not yet' : `${ageOf(one, now)} ago`],
    ['Heard over NATS', one.lastHeardAt === null ? '' : `${age(one.lastHeardAt, now)} ago`],
    ['Last error', lastError === null ? '' : `${lastError.message} (${lastError.code})`],
    ['Next fetch', one.nextAttemptAt ?? 'not by this server'],
    ['Endpoint showed', chain.map(({ name, notAfter }) => `${name} until ${notAfter}`).join(', ')],
  ]);
}

function sequenceOf({ hasBundle, sequenceNumber }: RelationshipView): string {
  return hasBundle ? (sequenceNumber ?? '-') : 'no bundle';
}

/** Since the endpoint last confirmed the bundle. */
function ageOf({ lastSuccessAt }: RelationshipView, now: number): string {
  return lastSuccessAt === null ? '-' : age(lastSuccessAt, now);
}

function age(instant: string, now: number): string {
  const seconds = Math.max(0, Math.floor((now - Date.parse(instant)) / 1_000));
  return formatDuration(seconds * 1_000);
}
