import { randomBytes } from 'node:crypto';
import { lastingAgents, lastingTokens } from '../agents/index.ts';
import { createBackupService } from '../api/index.ts';
import { requireWhole, writeBackup } from '../backup/index.ts';
import { lastingAuthorities, lastingCrls } from '../ca/index.ts';
import { lastingForeignBundles, lastingOwnBundle } from '../federation/index.ts';
import { FactJournal, keepStore, markJournal } from '../journal/index.ts';
import { lastingRevocations, lastingSuspensions } from '../revocations/index.ts';
import type { TrustDomain } from '../spiffe/index.ts';
import type { BucketName, LastingRecords, Store } from '../store/index.ts';
import type { Config } from './config.ts';
import { requireUnmoved } from './moved-store.ts';
import type { Process } from './process.ts';
import { readSealedKeys } from './sealed-keys.ts';
import { journalFile } from './state-files.ts';
import { version } from './version.ts';

/**
 * What of the store must not go back; an entry that was deleted stays so. Policies are versions of one whole:
 * records of old ones are deleted, and a backup brings all that it has of them.
 */
export function lastingRecords(trustDomain: TrustDomain): readonly LastingRecords[] {
  return [
    lastingOwnBundle(trustDomain),
    lastingCrls,
    lastingAuthorities,
    lastingAgents(trustDomain),
    lastingTokens,
    lastingForeignBundles,
    // Before the others of their bucket.
    lastingSuspensions,
    lastingRevocations,
    deletionsOf('entries'),
  ];
}

/**
 * The store with a journal of what must not go back, which it gets back now and after every doubt; closed
 * with `process`.
 * @throws TrustplaneError ERR_JOURNAL_*, ERR_STORE_*, ERR_FILE_*
 */
export async function keepState(
  config: Config,
  { clock, log, metrics, closing, readiness, adminServices }: Process,
  store: Store,
  serverId: string,
): Promise<Store> {
  let fault: string | undefined;
  readiness.require('journal', () => fault);
  const journal = await FactJournal.open({
    path: journalFile(config),
    trustDomain: config.trustDomain.name,
    clock,
    log,
    metrics,
    onWrites: (now) => {
      fault = now;
    },
  });
  closing.defer(() => journal.close());
  await requireWhole(store.bucket('leases'));
  await requireUnmoved(store);
  const isComplete = await markJournal(store.bucket('leases'), serverId, journal);
  if (!isComplete) {
    log.error(
      { journal: journalFile(config) },
      'the journal of this server is gone and begun anew',
    );
  }
  const kept = await keepStore({
    store,
    journal,
    rules: lastingRecords(config.trustDomain),
    clock,
    log,
    metrics,
    makeEra: () => randomBytes(8).toString('hex'),
  });
  closing.defer(() => kept.close());
  adminServices.push({
    service: createBackupService((passphrase) =>
      writeBackup({
        store,
        journal,
        trustDomain: config.trustDomain,
        serverVersion: version(),
        serverId,
        clock,
        readKeys: passphrase && (() => readSealedKeys(config, passphrase)),
      }),
    ),
    file: 'trustplane/admin/v1/backup.proto',
  });
  return kept;
}

function deletionsOf(bucket: BucketName): LastingRecords {
  return {
    bucket,
    prefix: '',
    keeps: 'deletions',
    endOf: () => undefined,
    join: () => undefined,
  };
}
