import {
  appendFileSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { AuditPlace, issuance } from '../../test/fakes/audit-place.ts';
import type { AuditEvent, IssuedRecord } from '../spiffe/index.ts';
import type { AuditLedger } from './audit-ledger.ts';
import { type OpenAppendFile, openAppendFile } from './ledger-file.ts';
import type { LedgerFilter } from './ledger-filter.ts';

async function eventsOf(ledger: AuditLedger, filter: LedgerFilter = {}): Promise<AuditEvent[]> {
  const events: AuditEvent[] = [];
  for await (const { event } of ledger.read(filter)) events.push(event);
  return events;
}

/** A disk on which writes fail while it says so. */
function fullDisk(): { isFull: boolean; readonly openFile: OpenAppendFile } {
  const disk = {
    isFull: false,
    openFile: (async (folder, name) => {
      const file = await openAppendFile(folder, name);
      return {
        get bytes() {
          return file.bytes;
        },
        append: async (bytes: Uint8Array) => {
          if (disk.isFull) throw new Error('ENOSPC: no space left on device');
          await file.append(bytes);
        },
        truncate: (bytes: number) => file.truncate(bytes),
        close: () => file.close(),
      };
    }) satisfies OpenAppendFile,
  };
  return disk;
}

describe('AuditLedger', () => {
  it('chains what is recorded, in files of 0600, and says what it is', async () => {
    using place = new AuditPlace();
    const ledger = await place.open();
    await ledger.record([issuance(1), issuance(2)]);
    await ledger.record([issuance(3)]);
    await ledger.close();
    const [name = ''] = readdirSync(place.folder);
    expect(name).toBe('audit-0000000000000001.jsonl');
    expect(statSync(path.join(place.folder, name)).mode & 0o777).toBe(0o600);
    expect(statSync(place.keyFile).mode & 0o777).toBe(0o600);
    const found = await place.verify();
    expect(found).toMatchObject({ findings: [], files: 1, records: 4, isAnchored: true });
    expect(found.last?.sequenceNumber).toBe(4);
  });

  it('writes together what comes in one turn, and while a write is under way', async () => {
    using place = new AuditPlace();
    let writes = 0;
    const ledger = await place.open({
      openFile: async (folder, name) => {
        const file = await openAppendFile(folder, name);
        const append = async (bytes: Uint8Array): Promise<void> => {
          writes += 1;
          await file.append(bytes);
        };
        return {
          ...file,
          bytes: file.bytes,
          append,
          truncate: async () => {},
          close: () => file.close(),
        };
      },
    });
    const before = writes;
    await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map((n) => ledger.record([issuance(n)])));
    expect(writes - before).toBe(1);
    await ledger.close();
  });

  it('goes on where it ended', async () => {
    using place = new AuditPlace();
    for (let number = 1; number <= 3; number++) {
      const ledger = await place.open();
      await ledger.record([issuance(number)]);
      await ledger.close();
    }
    const ledger = await place.open();
    expect(await eventsOf(ledger, { kind: 'x509-svid' })).toEqual(
      [1, 2, 3].map((n) => issuance(n)),
    );
    expect((await ledger.verify()).findings).toEqual([]);
    await ledger.close();
  });

  it('begins another file when one is large enough, and finds what is in each', async () => {
    using place = new AuditPlace();
    const ledger = await place.open({ maxFileBytes: 2_000 });
    for (let number = 1; number <= 30; number++) await ledger.record([issuance(number)]);
    expect(readdirSync(place.folder).length).toBeGreaterThan(5);
    expect((await ledger.verify()).findings).toEqual([]);
    expect(await ledger.findSerial(issuance(17).serialNumber.toUpperCase())).toMatchObject({
      event: issuance(17),
    });
    expect(await ledger.findSerial('ff')).toBeUndefined();
    await ledger.close();
    expect((await place.verify()).findings).toEqual([]);
  });

  it('removes what is more than is kept; the chain begins behind it', async () => {
    using place = new AuditPlace();
    const retention = { retainBytes: 6_000, retainMs: 1e12 };
    const ledger = await place.open({ maxFileBytes: 2_000, retention });
    for (let number = 1; number <= 30; number++) await ledger.record([issuance(number)]);
    const found = await ledger.verify();
    expect(found.findings).toEqual([]);
    expect(found.first?.sequenceNumber).toBeGreaterThan(20);
    expect(found.bytes).toBeLessThan(8_001);
    expect(await eventsOf(ledger, { kind: 'ledger' })).toContainEqual(
      expect.objectContaining({ what: 'removed' }),
    );
    await ledger.close();
    expect((await place.verify()).findings).toEqual([]);
    const [oldest = ''] = readdirSync(place.folder);
    rmSync(path.join(place.folder, oldest));
    expect((await place.verify()).findings).not.toEqual([]);
  });

  it('removes what is older than is kept when it starts', async () => {
    using place = new AuditPlace();
    const ledger = await place.open({ maxFileBytes: 1_000 });
    for (let number = 1; number <= 6; number++) {
      await ledger.record([issuance(number)]);
      place.clock.advance(10_000);
    }
    await ledger.close();
    const retention = { retainBytes: 1e9, retainMs: 25_000 };
    const again = await place.open({ maxFileBytes: 1_000, retention });
    expect(await eventsOf(again, { kind: 'x509-svid' })).toEqual([4, 5, 6].map((n) => issuance(n)));
    expect((await again.verify()).findings).toEqual([]);
    await again.close();
  });

  it('cuts off what a crash left of a write that nobody was told of, and says so', async () => {
    using place = new AuditPlace();
    const ledger = await place.open();
    await ledger.record([issuance(1)]);
    await ledger.close();
    const file = path.join(place.folder, 'audit-0000000000000001.jsonl');
    appendFileSync(file, '{"seq":3,"at":17672');
    expect(await place.verify()).toMatchObject({ findings: [], unacknowledgedBytes: 19 });
    const again = await place.open();
    await again.record([issuance(2)]);
    expect(again.damage).toBeUndefined();
    expect(await eventsOf(again)).toEqual([
      expect.objectContaining({ what: 'begun' }),
      issuance(1),
      expect.objectContaining({ what: 'cut' }),
      issuance(2),
    ]);
    expect((await again.verify()).findings).toEqual([]);
    await again.close();
  });

  it('goes on in another file when it finds damage, and verify keeps saying so', async () => {
    using place = new AuditPlace();
    const ledger = await place.open();
    await ledger.record([issuance(1), issuance(2), issuance(3)]);
    await ledger.close();
    const file = path.join(place.folder, 'audit-0000000000000001.jsonl');
    writeFileSync(file, readFileSync(file, 'latin1').replace('web/2', 'web/9'));
    const again = await place.open();
    expect(again.damage).toContain('audit-0000000000000001.jsonl:4');
    await again.record([issuance(4)]);
    expect((await again.verify()).findings.map(({ file: name, line }) => [name, line])).toEqual([
      ['audit-0000000000000001.jsonl', 4],
      ['audit-0000000000000005.jsonl', 1],
    ]);
    await again.close();
    const third = await place.open();
    await third.record([issuance(5)]);
    expect(third.damage).toBeUndefined();
    expect((await third.verify()).findings).toHaveLength(2);
    await third.close();
  });

  it.each([
    ['the head', (place: AuditPlace) => rmSync(place.headFile)],
    ['the key', (place: AuditPlace) => rmSync(place.keyFile)],
    ['all files', (place: AuditPlace) => rmSync(place.folder, { recursive: true })],
    [
      'files and head',
      (place: AuditPlace) => [rmSync(place.folder, { recursive: true }), rmSync(place.headFile)],
    ],
  ])('says it when %s is gone', async (_, remove) => {
    using place = new AuditPlace();
    const ledger = await place.open();
    await ledger.record([issuance(1)]);
    await ledger.close();
    remove(place);
    const again = await place.open();
    expect(again.damage).toBeDefined();
    await again.record([issuance(2)]);
    expect((await again.verify()).findings).not.toEqual([]);
    await again.close();
  });

  it('records nothing on a full disk, says why, and recovers by itself', async () => {
    using place = new AuditPlace();
    const disk = fullDisk();
    const ledger = await place.open({ openFile: disk.openFile });
    await ledger.record([issuance(1)]);
    disk.isFull = true;
    await expect(ledger.record([issuance(2)])).rejects.toMatchObject({ code: 'ERR_AUDIT_WRITE' });
    expect(ledger.fault).toContain('ENOSPC');
    disk.isFull = false;
    place.clock.advance(5_000);
    await expect.poll(() => ledger.fault).toBeUndefined();
    await ledger.record([issuance(3)]);
    expect(await eventsOf(ledger)).toEqual([
      expect.objectContaining({ what: 'begun' }),
      issuance(1),
      expect.objectContaining({ what: 'resumed' }),
      issuance(3),
    ]);
    expect((await ledger.verify()).findings).toEqual([]);
    await ledger.close();
  });

  it('tells what was issued since an instant, across files', async () => {
    using place = new AuditPlace();
    const ledger = await place.open({ maxFileBytes: 1_500 });
    for (let number = 0; number < 20; number++) {
      const issuedAt = place.clock.now();
      await ledger.record([issuance(number, { issuedAt })]);
      place.clock.advance(60_000);
    }
    const issued: IssuedRecord[] = [];
    const since = place.clock.now() - 5 * 60_000;
    for await (const record of ledger.issuedSince(since)) issued.push(record);
    expect(issued.map(({ spiffeId }) => spiffeId)).toEqual(
      [15, 16, 17, 18, 19].map((n) => `spiffe://example.org/web/${n}`),
    );
    const named: IssuedRecord[] = [];
    const names = ['spiffe://example.org/web/17', 'spiffe://example.org/web/1', 'entry-2'];
    for await (const record of ledger.issuedSince(since, names)) named.push(record);
    expect(named).toEqual([issued[2]]);
    expect(issued[0]).toMatchObject({
      agentId: 'spiffe://example.org/spire/agent/x509pop/a',
      entryId: 'entry-1',
      authorityId: 'ab12',
    });
    await ledger.close();
  });

  it('tells those who watch what is recorded, with its place', async () => {
    using place = new AuditPlace();
    const ledger = await place.open({ maxFileBytes: 1_000 });
    const seen: string[] = [];
    ledger.watch((records) => {
      for (const { file, line, sequenceNumber } of records)
        seen.push(`${sequenceNumber} ${file}:${line}`);
    });
    await ledger.record([issuance(1)]);
    await ledger.record([issuance(2)]);
    const read: string[] = [];
    for await (const { file, line, sequenceNumber } of ledger.read({ kind: 'x509-svid' }))
      read.push(`${sequenceNumber} ${file}:${line}`);
    expect(seen).toEqual(read);
    await ledger.close();
  });
});
