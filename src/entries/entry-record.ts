import { hash } from 'node:crypto';
import {
  formatSelector,
  messageOf,
  type RegistrationEntry,
  SpiffeId,
  TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import { entryLimits } from './entry-limits.ts';
import { RecordReader } from './record-reader.ts';
import { SharedValues } from './shared-values.ts';

/** What one key of the bucket `entries` holds. */
export interface EntryRecord {
  readonly entry: RegistrationEntry;
  /**
   * The store revision that created the entry, once it has been updated; a record that was never
   * updated is its own beginning. Of two records with one entry ID the older beginning stands.
   */
  readonly firstRevision: number | undefined;
}

const VERSION = 1;
/** As long as an instant, or a revision, gets. */
const LATEST = 9_999_999_999_999;
const decoder = new TextDecoder('utf-8', { fatal: true });

/** Version 1. A later version keeps this shape and adds the step from it to itself. */
interface StoredEntry {
  readonly v: typeof VERSION;
  readonly id: string;
  readonly spiffeId: string;
  readonly parentId: string;
  readonly selectors: readonly string[];
  readonly x509SvidTtl: number;
  readonly jwtSvidTtl: number;
  readonly federatesWith: readonly string[];
  readonly dnsNames: readonly string[];
  readonly hint: string;
  readonly admin: boolean;
  readonly downstream: boolean;
  readonly storeSvid: boolean;
  readonly disableX509SvidPrefetch: boolean;
  readonly jwtSvidIncludeJti: boolean;
  readonly expiresAt?: number | undefined;
  readonly revisionNumber: number;
  readonly createdAt: number;
  readonly firstRevision?: number | undefined;
  readonly managedBy?: string | undefined;
}

/** The store key: a hash of what makes an entry distinct, so that a duplicate is a conflict of one key. */
export function entryKey(
  entry: Pick<RegistrationEntry, 'parentId' | 'spiffeId' | 'selectors'>,
): string {
  const { parentId, spiffeId, selectors } = entry;
  return keyOf(parentId.toString(), spiffeId.toString(), selectors.map(formatSelector));
}

function keyOf(parentId: string, spiffeId: string, selectors: readonly string[]): string {
  const identity = [parentId, spiffeId, ...selectors.toSorted()];
  return hash('sha256', JSON.stringify(identity), 'base64url');
}

/** @throws TrustplaneError ERR_ENTRY_TOO_LARGE */
export function encodeEntryRecord({ entry, firstRevision }: EntryRecord): Uint8Array {
  const record: StoredEntry = {
    v: VERSION,
    id: entry.id,
    spiffeId: entry.spiffeId.toString(),
    parentId: entry.parentId.toString(),
    selectors: entry.selectors.map(formatSelector),
    x509SvidTtl: entry.x509SvidTtlSeconds,
    jwtSvidTtl: entry.jwtSvidTtlSeconds,
    federatesWith: entry.federatesWith.map((trustDomain) => trustDomain.name),
    dnsNames: entry.dnsNames,
    hint: entry.hint,
    admin: entry.admin,
    downstream: entry.downstream,
    storeSvid: entry.storeSvid,
    disableX509SvidPrefetch: entry.disableX509SvidPrefetch,
    jwtSvidIncludeJti: entry.jwtSvidIncludeJti,
    expiresAt: entry.expiresAt,
    revisionNumber: entry.revisionNumber,
    createdAt: entry.createdAt,
    firstRevision,
    managedBy: entry.managedBy,
  };
  const bytes = Buffer.from(JSON.stringify(record));
  if (bytes.length <= entryLimits.recordBytes) return bytes;
  throw new TrustplaneError(
    'ERR_ENTRY_TOO_LARGE',
    `the entry: expected at most ${entryLimits.recordBytes} bytes in all; got ${bytes.length}`,
  );
}

/** Whether there is room for the entry with whatever is still to be stored with it. @throws TrustplaneError ERR_ENTRY_TOO_LARGE */
export function requireRoom(entry: RegistrationEntry): void {
  encodeEntryRecord({ entry: { ...entry, createdAt: LATEST }, firstRevision: LATEST });
}

/**
 * Reads a stored record. It is judged by shape and by its key, not by today's bounds and selector
 * types: a stricter release still reads what an earlier one accepted.
 * @throws TrustplaneError ERR_ENTRY_RECORD
 */
export function decodeEntryRecord(
  key: string,
  value: Uint8Array,
  trustDomain: TrustDomain,
  shared: SharedValues = new SharedValues(),
): EntryRecord {
  try {
    return readRecord(
      key,
      new RecordReader(JSON.parse(decoder.decode(value))),
      trustDomain,
      shared,
    );
  } catch (error) {
    throw new TrustplaneError(
      'ERR_ENTRY_RECORD',
      `the entry stored at ${key} cannot be read: ${messageOf(error)}`,
      { cause: error },
    );
  }
}

/** One pass without a schema: a server reads 100,000 of these before it is ready. */
function readRecord(
  key: string,
  reader: RecordReader,
  trustDomain: TrustDomain,
  shared: SharedValues,
): EntryRecord {
  if (reader.count('v') !== VERSION) throw new Error(`it is not of version ${VERSION}`);
  const [spiffeId, parentId] = [reader.text('spiffeId'), reader.text('parentId')];
  const selectors = reader.texts('selectors');
  if (selectors.length === 0) throw new Error('selectors: expected at least one');
  const managedBy = reader.optionalText('managedBy');
  const entry: RegistrationEntry = {
    id: entryIdOf(reader.text('id')),
    spiffeId: member(spiffeId, trustDomain),
    parentId: shared.parent(parentId, () => member(parentId, trustDomain)),
    selectors: selectors.map((text) => shared.selector(text)),
    x509SvidTtlSeconds: reader.count('x509SvidTtl'),
    jwtSvidTtlSeconds: reader.count('jwtSvidTtl'),
    federatesWith: shared.list(
      reader.texts('federatesWith').map((name) => TrustDomain.parse(name)),
    ),
    dnsNames: shared.list(reader.texts('dnsNames')),
    hint: reader.text('hint'),
    admin: reader.flag('admin'),
    downstream: reader.flag('downstream'),
    storeSvid: reader.flag('storeSvid'),
    disableX509SvidPrefetch: reader.flag('disableX509SvidPrefetch'),
    jwtSvidIncludeJti: reader.flag('jwtSvidIncludeJti'),
    expiresAt: reader.optionalCount('expiresAt'),
    revisionNumber: reader.count('revisionNumber'),
    createdAt: reader.count('createdAt'),
    ...(managedBy !== undefined && { managedBy }),
  };
  const firstRevision = reader.optionalCount('firstRevision');
  reader.finish();
  if (keyOf(parentId, spiffeId, selectors) !== key) {
    throw new Error('it is of another parent, ID or selectors');
  }
  return { entry, firstRevision };
}

function entryIdOf(text: string): string {
  if (text.length > 0 && text.length <= entryLimits.idBytes) return text;
  throw new Error(`id: expected 1 to ${entryLimits.idBytes} characters; got ${text.length}`);
}

/** Shares the trust domain's value between all entries. */
function member(text: string, trustDomain: TrustDomain): SpiffeId {
  const { id } = trustDomain;
  if (!text.startsWith(id) || text[id.length] !== '/') {
    throw new Error(`${JSON.stringify(text)} is not in ${id}`);
  }
  return SpiffeId.of(trustDomain, text.slice(id.length));
}
