import { z } from 'zod';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import type { Bucket } from '../store/index.ts';
import { type Authority, type AuthorityKind, authorityStates, kindNames } from './authority.ts';

const VERSION = 1;
const SERVER_ID = /^[A-Za-z0-9_-]{1,64}$/u;
const decoder = new TextDecoder('utf-8', { fatal: true });

/** What the journals of all kinds say of an authority. */
export type JournalEntry = Pick<Authority, 'keyId' | 'state' | 'issuedAt'>;

export const journalEntryShape: { readonly [K in keyof JournalEntry]: z.ZodType<JournalEntry[K]> } =
  {
    keyId: z.string().min(1).max(128),
    state: z.enum(authorityStates),
    issuedAt: z.int().nonnegative(),
  };

/**
 * The record of one server's authorities of one kind: one key of the bucket `authorities`, written by
 * that server alone, always by compare-and-set on what it read.
 */
export interface Journal<A extends Authority> {
  /** @throws TrustplaneError ERR_CA_JOURNAL, ERR_STORE_UNAVAILABLE */
  load(): Promise<readonly A[]>;
  /** @throws TrustplaneError ERR_STORE_CONFLICT when it changed since it was loaded, ERR_STORE_UNAVAILABLE */
  write(authorities: readonly A[]): Promise<void>;
}

/** How authorities of one kind are written. */
export interface JournalCodec<A extends Authority, Entry> {
  readonly kind: AuthorityKind;
  readonly entry: z.ZodType<Entry>;
  encode(authority: A): Entry;
  /** Throws when it is no authority of this trust domain. */
  decode(entry: Entry): A;
}

/** @throws TrustplaneError ERR_CA_JOURNAL when the server ID is malformed */
export function createJournal<A extends Authority, Entry>(
  bucket: Bucket,
  serverId: string,
  codec: JournalCodec<A, Entry>,
): Journal<A> {
  const key = journalKey(codec.kind, serverId);
  const schema = z.strictObject({
    v: z.literal(VERSION),
    authorities: z.array(codec.entry).max(1024),
  });
  let revision = 0;

  function decode(value: Uint8Array): readonly A[] {
    try {
      const record = schema.parse(JSON.parse(decoder.decode(value)));
      const authorities = record.authorities.map((entry) => codec.decode(entry));
      checkSlots(authorities);
      return authorities;
    } catch (cause) {
      throw new TrustplaneError(
        'ERR_CA_JOURNAL',
        `the journal of the ${kindNames[codec.kind]} authorities (record ${key}) is damaged or of a newer release: ${messageOf(cause)}`,
        { cause },
      );
    }
  }

  return {
    async load() {
      const record = await bucket.get(key);
      revision = record?.revision ?? 0;
      return record === undefined ? [] : decode(record.value);
    },
    async write(authorities) {
      const record = { v: VERSION, authorities: authorities.map((a) => codec.encode(a)) };
      revision = await bucket.put(key, Buffer.from(JSON.stringify(record)), revision);
    },
  };
}

function journalKey(kind: AuthorityKind, serverId: string): string {
  if (SERVER_ID.test(serverId)) return `${kind}.${serverId}`;
  throw new TrustplaneError(
    'ERR_CA_JOURNAL',
    `a server ID is 1 to 64 characters of A-Z, a-z, 0-9, "_" and "-"; got ${JSON.stringify(serverId.slice(0, 80))}`,
  );
}

function checkSlots(authorities: readonly Authority[]): void {
  const count = (state: string): number => authorities.filter((a) => a.state === state).length;
  if (count('active') > 1 || count('prepared') > 1) {
    throw new Error('more than one authority is active, or more than one prepared');
  }
  if (new Set(authorities.map(({ authorityId }) => authorityId)).size < authorities.length) {
    throw new Error('an authority is named twice');
  }
}
