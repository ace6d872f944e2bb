import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import path from 'node:path';
import {
  type Backup,
  type BucketDigest,
  backupBuckets,
  emptyStore,
  fillStore,
  mergeFacts,
  readBackup,
  type StateRecords,
} from '../backup/index.ts';
import { importKeys, readKeyIds, retireWithoutKey } from '../ca/index.ts';
import { raiseOwnBundle } from '../federation/index.ts';
import { type Fact, FactJournal, orderOfEras } from '../journal/index.ts';
import {
  type Environment,
  openDataDir,
  readFileBounded,
  systemClock,
  writeFileAtomic,
} from '../ops/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import type { StoredRecord } from '../store/index.ts';
import { openSharedBareStore } from './bare-store.ts';
import type { Config } from './config.ts';
import { lastingRecords } from './keep-state.ts';
import { requireUnused } from './moved-store.ts';
import { type PassphraseSource, readPassphrase } from './passphrase.ts';
import { type StagedState, stageState } from './staged-store.ts';
import { journalFile, keyFolder, serverIdFile } from './state-files.ts';

export interface RestoreRequest {
  readonly file: string;
  /** Gives up the state that is there. */
  readonly isForced: boolean;
  /** Opens the private keys of the backup. */
  readonly passphrase?: PassphraseSource | undefined;
}

export interface RestoredState {
  readonly createdAt: number;
  readonly serverVersion: string;
  readonly buckets: readonly BucketDigest[];
  /** Records that are otherwise than in the backup, because the journal knows better. */
  readonly corrected: number;
  readonly keys: number;
}

/**
 * Puts the state of a backup into the data directory of a server that is not running: all of it, or
 * nothing. What the journal there knows of revocations, bans and spent tokens holds on.
 * @throws TrustplaneError ERR_DATA_DIR*, ERR_BACKUP_*, ERR_STORE_*, ERR_JOURNAL_*, ERR_KEY_*, ERR_FILE_*
 */
export async function restoreState(
  config: Config,
  request: RestoreRequest,
  env: Environment,
): Promise<RestoredState> {
  const dataDir = openDataDir(config.dataDir);
  try {
    const backup = await readBackup(request.file, config.trustDomain);
    const staged = await stageState(config, request.isForced);
    const journal = await readJournal(config);
    const { records, changed } = mergeFacts(
      backup,
      [...backup.facts, ...journal.facts],
      (era) => orderOfEras(journal.eras, backup.era, era),
      lastingRecords(config.trustDomain),
      systemClock.now(),
    );
    const from = await readPassphrase(request.passphrase, env);
    const keyIds = await stageKeys(config, staged.folder, from, backup, env);
    if (!existsSync(journalFile(config))) await stageJournal(config, staged.folder, backup.facts);
    const serverId = backup.keys === undefined ? await readServerId(config) : backup.serverId;
    const state = withAuthorities(config, records, serverId, keyIds);
    const buckets = await fill(config, staged, state, request.isForced);
    await staged.place();
    const { createdAt, serverVersion } = backup;
    const keys = backup.keys?.files.size ?? 0;
    return { createdAt, serverVersion, buckets, corrected: changed, keys };
  } finally {
    dataDir.close();
  }
}

/** Where servers share a store it is not put in its place with the rest, but before. */
async function fill(
  config: Config,
  staged: StagedState,
  state: StateRecords,
  isForced: boolean,
): Promise<readonly BucketDigest[]> {
  const isShared = config.sharedStore !== undefined;
  const store = isShared ? await openSharedBareStore(config, true) : await staged.openStore();
  try {
    if (isShared) await requireUnused(store);
    if (isShared && isForced) await emptyStore(store, backupBuckets);
    return await fillStore(store, state, randomBytes(8).toString('hex'));
  } finally {
    await store.close();
  }
}

/** Whose keys are there. */
async function readServerId(config: Config): Promise<string> {
  const stored = await readFileBounded(serverIdFile(config), 128);
  return stored === undefined ? 'local' : Buffer.from(stored).toString('latin1').trim();
}

/** The keys there will be; those of the backup take the place of all that are there. */
async function stageKeys(
  config: Config,
  folder: string,
  from: Uint8Array | undefined,
  { keys, serverId }: Backup,
  env: Environment,
): Promise<ReadonlySet<string>> {
  if (keys === undefined) return await readKeyIds(keyFolder(config));
  if (from === undefined) {
    throw new TrustplaneError(
      'ERR_KEY_PASSPHRASE',
      'the backup has private keys; name the passphrase they are sealed with, --passphrase-file',
    );
  }
  await importKeys(keys, {
    folder: path.join(folder, 'keys'),
    sealKeyFile: path.join(folder, 'seal.key'),
    from,
    to: await readPassphrase(config.sealPassphrase, env),
    random: randomBytes,
  });
  const id = Buffer.from(`${serverId}\n`);
  await writeFileAtomic(path.join(folder, 'server-id'), id, { mode: 0o600 });
  return new Set(keys.files.keys());
}

/**
 * Authorities whose keys are lost sign nothing more; others are made at the next start. The bundle gets a
 * sequence number that none had before, so that everybody takes it.
 */
function withAuthorities(
  { keyStorage, trustDomain }: Config,
  merged: StateRecords,
  serverId: string,
  keyIds: ReadonlySet<string>,
): StateRecords {
  const authorities = merged.get('authorities');
  if (authorities === undefined) return merged;
  const hasKey = (keyId: string): boolean => keyStorage !== 'disk' || keyIds.has(keyId);
  const kept = [...authorities].map(([key, record]): [string, StoredRecord] => {
    const value = raiseOwnBundle(key, record.value, trustDomain);
    return [key, { ...record, value: retireWithoutKey(key, value, serverId, hasKey) }];
  });
  return new Map([...merged, ['authorities', new Map(kept)]]);
}

/** What the journal that is there knows, of the eras in their order. */
async function readJournal(
  config: Config,
): Promise<{ readonly facts: readonly Fact[]; readonly eras: readonly string[] }> {
  if (!existsSync(journalFile(config))) return { facts: [], eras: [] };
  const journal = await openJournal(config, journalFile(config));
  const { eras } = journal;
  const facts: Fact[] = [];
  for await (const fact of journal.facts()) facts.push(fact);
  await journal.close();
  return { facts: facts.sort((a, b) => eras.indexOf(a.era) - eras.indexOf(b.era)), eras };
}

/** What was known of deletions when the backup was made is known on. */
async function stageJournal(config: Config, folder: string, facts: readonly Fact[]): Promise<void> {
  const journal = await openJournal(config, path.join(folder, 'facts.journal'));
  await journal.note(facts.map((fact) => ({ type: 'fact', ...fact })));
  await journal.close();
}

async function openJournal({ trustDomain }: Config, file: string): Promise<FactJournal> {
  return await FactJournal.open({ path: file, trustDomain: trustDomain.name, clock: systemClock });
}
