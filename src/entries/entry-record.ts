import { createHash } from 'node:crypto';
import { z } from 'zod';
import {
  formatSelector,
  messageOf,
  parseSelector,
  type RegistrationEntry,
  SpiffeId,
  TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import { entryLimits } from './entry-limits.ts';

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
const decoder = new TextDecoder('utf-8', { fatal: true });
const count = z.int().nonnegative();

/** Version 1. A later version keeps this schema and adds the step from it to itself. */
const schema = z.strictObject({
  v: z.literal(VERSION),
  id: z.string().min(1).max(entryLimits.idBytes),
  spiffeId: z.string(),
  parentId: z.string(),
  selectors: z.array(z.string()).min(1),
  x509SvidTtl: count,
  jwtSvidTtl: count,
  federatesWith: z.array(z.string()),
  dnsNames: z.array(z.string()),
  hint: z.string(),
  admin: z.boolean(),
  downstream: z.boolean(),
  storeSvid: z.boolean(),
  disableX509SvidPrefetch: z.boolean(),
  jwtSvidIncludeJti: z.boolean(),
  expiresAt: count.optional(),
  revisionNumber: count,
  createdAt: count,
  firstRevision: count.optional(),
});

/** The store key: a hash of what makes an entry distinct, so that a duplicate is a conflict of one key. */
export function entryKey(
  entry: Pick<RegistrationEntry, 'parentId' | 'spiffeId' | 'selectors'>,
): string {
  const texts = entry.selectors.map(formatSelector).sort();
  const identity = JSON.stringify([entry.parentId.toString(), entry.spiffeId.toString(), ...texts]);
  return createHash('sha256').update(identity).digest('base64url');
}

/** @throws TrustplaneError ERR_ENTRY_TOO_LARGE */
export function encodeEntryRecord({ entry, firstRevision }: EntryRecord): Uint8Array {
  const record: z.input<typeof schema> = {
    v: VERSION,
    id: entry.id,
    spiffeId: entry.spiffeId.toString(),
    parentId: entry.parentId.toString(),
    selectors: entry.selectors.map(formatSelector),
    x509SvidTtl: entry.x509SvidTtlSeconds,
    jwtSvidTtl: entry.jwtSvidTtlSeconds,
    federatesWith: entry.federatesWith.map((trustDomain) => trustDomain.name),
    dnsNames: [...entry.dnsNames],
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
  };
  const bytes = Buffer.from(JSON.stringify(record));
  if (bytes.length <= entryLimits.recordBytes) return bytes;
  throw new TrustplaneError(
    'ERR_ENTRY_TOO_LARGE',
    `the entry: expected at most ${entryLimits.recordBytes} bytes in all; got ${bytes.length}`,
  );
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
): EntryRecord {
  try {
    const record = schema.parse(JSON.parse(decoder.decode(value)));
    const { v: _, x509SvidTtl, jwtSvidTtl, firstRevision, ...same } = record;
    const entry: RegistrationEntry = {
      ...same,
      spiffeId: member(record.spiffeId, trustDomain),
      parentId: member(record.parentId, trustDomain),
      selectors: record.selectors.map(parseSelector),
      federatesWith: record.federatesWith.map((name) => TrustDomain.parse(name)),
      x509SvidTtlSeconds: x509SvidTtl,
      jwtSvidTtlSeconds: jwtSvidTtl,
      expiresAt: record.expiresAt,
    };
    if (entryKey(entry) !== key) throw new Error('it is of another parent, ID or selectors');
    return { entry, firstRevision };
  } catch (error) {
    throw new TrustplaneError(
      'ERR_ENTRY_RECORD',
      `the entry stored at ${key} cannot be read: ${messageOf(error)}`,
      { cause: error },
    );
  }
}

/** Shares the trust domain's value between all entries. */
function member(text: string, trustDomain: TrustDomain): SpiffeId {
  const prefix = `${trustDomain.id}/`;
  if (!text.startsWith(prefix))
    throw new Error(`${JSON.stringify(text)} is not in ${trustDomain.id}`);
  return SpiffeId.of(trustDomain, text.slice(trustDomain.id.length));
}
