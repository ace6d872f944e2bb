import { createHash } from 'node:crypto';
import { type Fact, type FactJournal, readEra } from '../journal/index.ts';
import { type Clock, type TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import type { BucketName, Store } from '../store/index.ts';
import { encodeHead, encodeLine } from './backup-line.ts';

const CHUNK_BYTES = 262_144;

/**
 * In this order one after the other is safe: a token is read after the agent that it made, and a revocation
 * after the entry whose end it is. Leases end by themselves.
 */
export const backupBuckets: readonly BucketName[] = [
  'entries',
  'policies',
  'agents',
  'federation',
  'authorities',
  'tokens',
  'revocations',
];

/** Private keys in files that are sealed, and what opens them, sealed with a passphrase. */
export interface SealedKeys {
  readonly sealKey: Uint8Array;
  /** By key ID. */
  readonly files: ReadonlyMap<string, Uint8Array>;
}

export interface BackupSource {
  readonly store: Store;
  readonly journal: Pick<FactJournal, 'facts'>;
  readonly trustDomain: TrustDomain;
  readonly serverVersion: string;
  /** Whose private keys it has, if any. */
  readonly serverId: string;
  readonly clock: Clock;
  /** Read after the records that name them. */
  readonly readKeys?: (() => Promise<SealedKeys>) | undefined;
}

/**
 * A backup of all that the control plane has, in chunks, while it runs: each bucket at one revision.
 * @throws TrustplaneError ERR_STORE_*, ERR_JOURNAL_*, ERR_KEY_*
 */
export async function* writeBackup(source: BackupSource): AsyncGenerator<Uint8Array> {
  const checksum = createHash('sha256');
  let lines = 0;
  let waiting: string[] = [];
  let bytes = 0;
  const flush = (): Uint8Array => {
    const chunk = Buffer.from(waiting.join(''));
    [waiting, bytes] = [[], 0];
    return chunk;
  };
  for await (const line of linesOf(source)) {
    checksum.update(line);
    lines++;
    waiting.push(line);
    bytes += line.length;
    if (bytes >= CHUNK_BYTES) yield flush();
  }
  waiting.push(encodeLine({ lines, sha256: checksum.digest('hex') }));
  yield flush();
}

async function* linesOf(source: BackupSource): AsyncGenerator<string> {
  const { store, journal, trustDomain, serverVersion, serverId, clock, readKeys } = source;
  const era = (await readEra(store.bucket('leases')))?.era;
  if (era === undefined) throw new TrustplaneError('ERR_INTERNAL', 'the store has no era');
  const createdAt = clock.now();
  yield encodeHead({ trustDomain: trustDomain.name, serverVersion, serverId, createdAt, era });
  const written = new Map<string, number>();
  for (const bucket of backupBuckets) {
    const { records, revision: bucketRevision } = await store.bucket(bucket).list('');
    yield encodeLine({ bucket, revision: bucketRevision });
    for (const { key, value, revision } of records) {
      written.set(`${bucket} ${key}`, revision);
      yield encodeLine({ k: key, r: revision, v: base64(value) });
    }
  }
  for await (const fact of journal.facts()) {
    const isWritten = (written.get(`${fact.bucket} ${fact.key}`) ?? -1) >= fact.revision;
    if (!(isWritten && fact.era === era)) yield* factLines(fact);
  }
  if (readKeys !== undefined) yield* keyLines(await readKeys());
}

function* factLines({ bucket, key, era, revision, expiresAt, value }: Fact): Generator<string> {
  const b = backupBuckets.find((name) => name === bucket);
  if (b === undefined) return;
  const v = value && base64(value);
  yield encodeLine({ fact: key, b, e: era, r: revision, x: expiresAt, v });
}

function* keyLines({ sealKey, files }: SealedKeys): Generator<string> {
  yield encodeLine({ sealKey: base64(sealKey) });
  for (const [key, bytes] of files) yield encodeLine({ key, v: base64(bytes) });
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
}
