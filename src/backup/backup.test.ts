import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { keptPlace, type OpenedState } from '../../test/fakes/kept-place.ts';
import { bytesOf, revocationRecord, textOf } from '../../test/fakes/lasting-samples.ts';
import { createRunFolder } from '../../test/programs/run-folder.ts';
import { lastingRecords } from '../app/keep-state.ts';
import type { Fact } from '../journal/index.ts';
import { type ErrorCode, TrustDomain } from '../spiffe/index.ts';
import { createMemoryStore, openSqliteStore } from '../store/index.ts';
import { fillStore, requireWhole } from './fill-store.ts';
import { mergeFacts } from './merge-facts.ts';
import { type Backup, readBackup } from './read-backup.ts';
import { backupBuckets, writeBackup } from './write-backup.ts';

const trustDomain = TrustDomain.parse('a.test');
const ERA = 'ffffffffffffffff';
const code = (is: ErrorCode) => expect.objectContaining({ code: is });

function backupFile(): string {
  const folder = createRunFolder();
  onTestFinished(() => folder.remove());
  return path.join(folder.path, 'state.backup');
}

async function save({ kept, journal }: OpenedState, clock: { now(): number }): Promise<string> {
  const file = backupFile();
  const source = {
    store: kept,
    journal,
    trustDomain,
    serverVersion: '1.2.3',
    serverId: 'local',
    clock: { ...clock, now: () => clock.now(), setTimer: () => ({ cancel() {} }) },
  };
  const chunks: Uint8Array[] = [];
  for await (const chunk of writeBackup(source)) chunks.push(chunk);
  writeFileSync(file, Buffer.concat(chunks));
  return file;
}

function merged(
  backup: Backup,
  facts: readonly Fact[] = [],
  order: 'same' | 'unknown' | 'later' = 'same',
) {
  return mergeFacts(
    backup,
    [...backup.facts, ...facts],
    () => order,
    lastingRecords(trustDomain),
    0,
  );
}

describe('a backup', () => {
  it('brings back every record, with those of 1,000,000 bytes', async () => {
    const place = keptPlace();
    const state = await place.open();
    for (const [index, bucket] of backupBuckets.entries()) {
      for (let n = 0; n <= index; n++)
        await state.kept.bucket(bucket).put(`k${n}`, bytesOf(`${bucket} ${n}`));
    }
    await state.kept.bucket('entries').put('large', new Uint8Array(1_000_000).fill(7));
    const file = await save(state, place.clock);
    const backup = await readBackup(file, trustDomain);
    expect(backup).toMatchObject({
      trustDomain: 'a.test',
      serverVersion: '1.2.3',
      createdAt: place.clock.now(),
    });
    const target = createMemoryStore({ clock: place.clock });
    const digests = await fillStore(target, merged(backup).records, ERA);
    expect(digests.map(({ records }) => records)).toEqual([2, 2, 3, 4, 5, 6, 7]);
    for (const bucket of backupBuckets) {
      const valuesOf = async (store: typeof target) =>
        (await store.bucket(bucket).list('')).records.map(({ key, value }) => [key, textOf(value)]);
      expect(await valuesOf(target)).toEqual(await valuesOf(state.store));
    }
  });

  it('does not bring back what the journal knows to be over, and brings back what was revoked later', async () => {
    const place = keptPlace();
    const state = await place.open();
    await state.kept.bucket('entries').put('e1', bytesOf('entry'));
    await state.kept.bucket('entries').put('e2', bytesOf('entry'));
    await state.kept.bucket('federation').put('relationship.b', bytesOf('b'));
    const backup = await readBackup(await save(state, place.clock), trustDomain);
    const revoked = revocationRecord('spiffe://a.test/w', place.clock.now());
    await state.kept.bucket('entries').delete('e1');
    await state.kept.bucket('federation').delete('relationship.b');
    await state.kept.bucket('revocations').put(revoked.key, revoked.value);
    const facts: Fact[] = [];
    for await (const fact of state.journal.facts()) facts.push(fact);
    const { records, changed } = merged(backup, facts);
    expect(changed).toBe(3);
    expect([...(records.get('entries')?.keys() ?? [])]).toEqual(['e2']);
    expect([...(records.get('federation')?.keys() ?? [])]).toEqual([]);
    expect(records.get('revocations')?.get(revoked.key)?.value).toEqual(revoked.value);
  });

  it('whose place in time is not known keeps what is safe', async () => {
    const place = keptPlace();
    const state = await place.open();
    await state.kept.bucket('federation').put('relationship.b', bytesOf('b'));
    const backup = await readBackup(await save(state, place.clock), trustDomain);
    const revoked = revocationRecord('spiffe://a.test/w', place.clock.now());
    await state.kept.bucket('federation').delete('relationship.b');
    await state.kept.bucket('revocations').put(revoked.key, revoked.value);
    const facts: Fact[] = [];
    for await (const fact of state.journal.facts()) facts.push(fact);
    const { records } = merged(backup, facts, 'unknown');
    expect(records.get('revocations')?.has(revoked.key)).toBe(true);
    expect(records.get('federation')?.has('relationship.b')).toBe(true);
  });

  it('is refused when it was changed or cut off anywhere', async () => {
    const place = keptPlace();
    const state = await place.open();
    await state.kept.bucket('entries').put('e1', bytesOf('entry'));
    const file = await save(state, place.clock);
    const bytes = readFileSync(file);
    for (let at = 0; at < bytes.length; at += 3) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 0x01;
      writeFileSync(file, changed);
      await expect(readBackup(file, trustDomain)).rejects.toEqual(code('ERR_BACKUP_DAMAGED'));
      writeFileSync(file, bytes.subarray(0, at));
      await expect(readBackup(file, trustDomain)).rejects.toEqual(code('ERR_BACKUP_DAMAGED'));
    }
    writeFileSync(file, Buffer.concat([bytes, bytes]));
    await expect(readBackup(file, trustDomain)).rejects.toEqual(code('ERR_BACKUP_DAMAGED'));
  });

  it('is refused when it is of another trust domain, or not there', async () => {
    const place = keptPlace();
    const file = await save(await place.open(), place.clock);
    const other = TrustDomain.parse('b.test');
    await expect(readBackup(file, other)).rejects.toEqual(code('ERR_BACKUP_TRUST_DOMAIN'));
    await expect(readBackup(`${file}.none`, other)).rejects.toEqual(code('ERR_BACKUP_FILE'));
  });
});

describe('a store that is filled', () => {
  it('has to be empty', async () => {
    const place = keptPlace();
    const state = await place.open();
    await state.kept.bucket('entries').put('e1', bytesOf('entry'));
    const backup = await readBackup(await save(state, place.clock), trustDomain);
    const { records } = merged(backup);
    await expect(fillStore(state.store, records, ERA)).rejects.toEqual(code('ERR_STORE_NOT_EMPTY'));
  });

  it('is refused by a server until it is whole', async () => {
    const place = keptPlace();
    const file = path.join(place.folder, 'other.db');
    const target = await openSqliteStore({ path: file, trustDomain, clock: place.clock });
    onTestFinished(() => target.close());
    const entries = new Map([['bad key', { key: 'bad key', value: bytesOf('x'), revision: 1 }]]);
    const state = new Map([['entries' as const, entries]]);
    await expect(fillStore(target, state, ERA)).rejects.toEqual(code('ERR_STORE_KEY'));
    await expect(requireWhole(target.bucket('leases'))).rejects.toEqual(code('ERR_STORE_FILLING'));
  });
});
