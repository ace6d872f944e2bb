import type { AgentRegistry } from '../agents/index.ts';
import type { EntryRegistry } from '../entries/index.ts';
import {
  isReservedPath,
  issueInstant,
  messageOf,
  quote,
  type RegistrationEntry,
  type SerialHolder,
  SpiffeId,
  type TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';

/** trustplane.admin.v1.RevocationSubject; one of them. */
export interface WireSubject {
  readonly spiffe_id?: string;
  readonly entry_id?: string;
  readonly serial_number?: string;
  readonly agent_id?: string;
}

/** Whose SVIDs, as an administrator said. */
export type RevocationTarget =
  | { readonly kind: 'spiffe-id'; readonly value: string; readonly id: SpiffeId }
  | { readonly kind: 'agent'; readonly value: string; readonly id: SpiffeId }
  | { readonly kind: 'entry'; readonly value: string }
  | { readonly kind: 'serial'; readonly value: string };

export interface SubjectReader {
  readonly trustDomain: TrustDomain;
  readonly entries: Pick<EntryRegistry, 'get' | 'count'>;
  readonly agents: Pick<AgentRegistry, 'get'>;
  /** The agent of the same process, which needs no attestation. */
  readonly localAgent: SpiffeId | undefined;
  /** Who has the SVID of the serial number. */
  readonly holder: SerialHolder | undefined;
  readonly now: number;
}

const AGENT_PATH = '/spire/agent/';
/** RFC 5280 §4.1.2.2: 20 octets. */
const SERIAL = /^[0-9a-f]{1,40}$/u;
const MAX_ENTRY_ID = 255;
/** The longest life an entry may give an SVID, and what clocks may differ by. */
const LONGEST_LIFE_MS = 366 * 86_400_000;
const CLOCKS_DIFFER_MS = 300_000;

/** @throws TrustplaneError ERR_REVOCATION_SUBJECT */
export function parseSubject(
  wire: WireSubject | null | undefined,
  trustDomain: TrustDomain,
): RevocationTarget {
  const { spiffe_id, entry_id, serial_number, agent_id } = wire ?? {};
  if (spiffe_id !== undefined) return workloadTarget(parseId(spiffe_id, trustDomain));
  if (agent_id !== undefined) return agentTarget(parseId(agent_id, trustDomain));
  if (serial_number !== undefined) return { kind: 'serial', value: parseSerial(serial_number) };
  if (entry_id === undefined) {
    throw malformed(
      'subject: expected a SPIFFE ID, an entry, a serial number or an agent; got none',
    );
  }
  if (/^[\w-]+$/u.test(entry_id) && entry_id.length <= MAX_ENTRY_ID) {
    return { kind: 'entry', value: entry_id };
  }
  throw malformed(`subject.entry_id: expected the ID of an entry; got ${quote(entry_id)}`);
}

/**
 * What is misspelled would revoke nothing, and seem to.
 * @throws TrustplaneError ERR_REVOCATION_UNKNOWN
 */
export function requireKnown(target: RevocationTarget, reader: SubjectReader): void {
  const why = whyUnknown(target, reader);
  if (why === undefined) return;
  const message = `${why}; to revoke it all the same, say so (--force)`;
  throw new TrustplaneError('ERR_REVOCATION_UNKNOWN', message);
}

function whyUnknown(target: RevocationTarget, reader: SubjectReader): string | undefined {
  const { entries, agents, localAgent, holder, now } = reader;
  const { value } = target;
  if (target.kind === 'entry') {
    return entries.get(value) === undefined ? `there is no entry ${quote(value)}` : undefined;
  }
  if (target.kind === 'serial') {
    if (holder !== undefined) return undefined;
    return isOwnSerial(value, now) ? unrecordedSerial(value) : foreignSerial(value);
  }
  const { id } = target;
  if (target.kind === 'agent') {
    const isKnown = agents.get(id) !== undefined || localAgent?.equals(id) === true;
    return isKnown ? undefined : `there is no attested agent ${value}`;
  }
  return entries.count({ spiffeId: id }) > 0
    ? undefined
    : `no entry gives the SPIFFE ID ${value}, and what was issued for entries that are gone is revoked already (SVIDs that were minted are not)`;
}

/** Those of trustplane begin with the instant of issuance. */
function isOwnSerial(serialNumber: string, now: number): boolean {
  const span = { notBefore: now - LONGEST_LIFE_MS, notAfter: now + CLOCKS_DIFFER_MS };
  return issueInstant({ serialNumber, ...span }) !== span.notBefore;
}

function foreignSerial(value: string): string {
  return `${value} is no serial number that servers of trustplane have given out in the last year`;
}

function unrecordedSerial(value: string): string {
  return `the audit ledger of this server does not know the serial number ${value}; the server that issued it does, if it is another one`;
}

function workloadTarget(id: SpiffeId): RevocationTarget {
  if (id.path.startsWith(AGENT_PATH)) {
    throw malformed(`subject.spiffe_id: ${id.toString()} is an agent; name it as one`);
  }
  if (isReservedPath(id)) {
    throw malformed(
      `subject.spiffe_id: ${id.toString()} is of the servers; their identity goes with their authority`,
    );
  }
  return { kind: 'spiffe-id', value: id.toString(), id };
}

function agentTarget(id: SpiffeId): RevocationTarget {
  if (id.path.startsWith(AGENT_PATH)) return { kind: 'agent', value: id.toString(), id };
  throw malformed(
    `subject.agent_id: expected an ID below ${id.trustDomain.id}${AGENT_PATH}; got ${id.toString()}`,
  );
}

function parseId(text: string, trustDomain: TrustDomain): SpiffeId {
  let id: SpiffeId;
  try {
    id = SpiffeId.parse(text);
  } catch (error) {
    throw malformed(`subject: ${messageOf(error)}`);
  }
  if (!id.trustDomain.equals(trustDomain)) {
    throw malformed(
      `subject: ${text} is of the trust domain ${id.trustDomain.name}, whose own servers revoke it; this one is ${trustDomain.name}`,
    );
  }
  if (id.isTrustDomainId)
    throw malformed(`subject: ${text} names a trust domain, and nobody in it`);
  return id;
}

/** As OpenSSL and browsers print it, too: with colons. */
function parseSerial(text: string): string {
  const digits = text.replaceAll(':', '').toLowerCase();
  if (SERIAL.test(digits) && !/^0+$/u.test(digits)) return digits;
  throw malformed(
    `subject.serial_number: expected 1 to 40 hexadecimal digits, and not 0; got ${quote(text)}`,
  );
}

function malformed(message: string): TrustplaneError {
  return new TrustplaneError('ERR_REVOCATION_SUBJECT', message);
}

/** The entries that give what a target names, without those that are suspended already. */
export function entriesOf(
  target: RevocationTarget,
  entries: Pick<EntryRegistry, 'get' | 'list'>,
  reachOf: (agentId: SpiffeId) => readonly RegistrationEntry[],
): readonly RegistrationEntry[] {
  if (target.kind === 'serial') return [];
  if (target.kind === 'agent') return reachOf(target.id);
  if (target.kind === 'entry') {
    const entry = entries.get(target.value);
    return entry === undefined ? [] : [entry];
  }
  return allOf(target.id, entries);
}

/** All entries of a SPIFFE ID. */
export function allOf(
  spiffeId: SpiffeId,
  entries: Pick<EntryRegistry, 'list'>,
): readonly RegistrationEntry[] {
  const all: RegistrationEntry[] = [];
  let pageToken = '';
  do {
    const page = entries.list({ spiffeId }, { pageSize: 0, pageToken });
    all.push(...page.entries);
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  return all;
}
