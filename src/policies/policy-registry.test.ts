import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { draftOf, openPolicyRegistry } from '../../test/fakes/open-policies.ts';
import { describePolicyRegistry } from '../../test/suites/policy-registry-suite.ts';
import { TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import { createMemoryStore, openSqliteStore, type StoredRecord } from '../store/index.ts';

describePolicyRegistry('memory', async () => {
  const clock = new FakeClock();
  const store = createMemoryStore({ clock });
  return { one: store, two: store, clock };
});

describePolicyRegistry('SQLite', async () => {
  const clock = new FakeClock();
  const folder = mkdtempSync(path.join(tmpdir(), 'trustplane-policies-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const trustDomain = TrustDomain.parse('a.test');
  const store = await openSqliteStore({ path: path.join(folder, 'p.db'), trustDomain, clock });
  onTestFinished(() => store.close());
  return { one: store, two: store, clock };
});

describe('a history that somebody changed', () => {
  async function changed(
    change: (
      records: readonly StoredRecord[],
    ) => readonly (readonly [string, Uint8Array | undefined])[],
  ) {
    const { policies, store, clock } = await openPolicyRegistry();
    for (let at = 0; at < 3; at++) await policies.apply(draftOf({ 'a.yaml': `v${at + 1}` }, at));
    await policies.close();
    const bucket = store.bucket('policies');
    const { records } = await bucket.list('');
    for (const [key, value] of change(records)) {
      if (value === undefined) await bucket.delete(key);
      else await bucket.put(key, value);
    }
    return await openPolicyRegistry({ store, clock });
  }
  const versionKey = (records: readonly StoredRecord[], version: number): string =>
    records.find(({ key }) => key.startsWith(`version.000000000${version}.`))?.key ?? '';
  const edited = (records: readonly StoredRecord[], key: string, from: string, to: string) => {
    const text = Buffer.from(records.find((one) => one.key === key)?.value ?? []).toString();
    expect(text).toContain(from);
    return [[key, Buffer.from(text.replace(from, to))]] as const;
  };

  it.each([
    ['a reason', '"reason":"a reason"', '"reason":"an alibi"'],
    ['an author', '"uid":1000', '"uid":1001'],
    ['the version before', '"previous":"0', '"previous":"1'],
    ['a time', '"createdAt":', '"createdAt":1'],
  ])('is found where it is %s', async (_, from, to) => {
    const { policies } = await changed((records) =>
      edited(records, versionKey(records, 1), from, to),
    );
    const { faults } = await policies.verify();
    expect(faults).toEqual([expect.stringMatching(/^version 1 is another than the hash /u)]);
    expect(policies.fault).toMatch(/version 1/u);
    // What is in force is whole all the same.
    expect(policies.current()?.version).toBe(3);
  });

  it('is found where a version is gone', async () => {
    const { policies } = await changed((records) => [[versionKey(records, 2), undefined]]);
    expect((await policies.verify()).faults).toEqual([
      expect.stringMatching(/version 2 .* is not there/u),
    ]);
  });

  it('is found where files were exchanged, and they are not given out', async () => {
    const { policies } = await changed((records) => {
      const texts = records.filter(({ key }) => key.startsWith('texts.'));
      return [[texts[0]?.key ?? '', texts[1]?.value]];
    });
    const { faults } = await policies.verify();
    expect(faults).toEqual([expect.stringMatching(/files of version \d are others/u)]);
    const broken = Number(/version (\d)/u.exec(faults[0] ?? '')?.[1]);
    const shown = policies.show(broken);
    await expect(shown).rejects.toMatchObject({ code: 'ERR_POLICY_CHAIN' });
    await expect(shown).rejects.toBeInstanceOf(TrustplaneError);
  });

  it('is found where the head was set back to a version of another chain', async () => {
    const { policies } = await changed((records) =>
      edited(records, 'head', '"version":3', '"version":2'),
    );
    expect(policies.current()).toBeUndefined();
    expect(policies.fault).toMatch(/version 2 is not there/u);
    await expect(policies.apply(draftOf({ 'a.yaml': 'x' }, 2))).rejects.toMatchObject({
      code: 'ERR_POLICY_CHAIN',
    });
  });

  describe('is repaired', () => {
    const repair = draftOf({ 'a.yaml': 'new' }, 0, { isRepair: true, reason: 'INC-1' });
    const head = (text: string) => () => [['head', Buffer.from(text)]] as const;
    const gone = (version: number) => (records: readonly StoredRecord[]) =>
      [[versionKey(records, version), undefined]] as const;

    it.each([
      ['head is no JSON', head('{'), 4, [1, 2, 3, 4]],
      ['head is gone', () => [['head', undefined]] as const, 4, [1, 2, 3, 4]],
      [
        'head names another version',
        head(JSON.stringify({ schema: 1, version: 9 })),
        4,
        [1, 2, 3, 4],
      ],
      ['last version is gone', gone(3), 4, [1, 2, 4]],
      ['version in between is gone', gone(2), 4, [3, 4]],
      [
        'last version was edited',
        (records: readonly StoredRecord[]) =>
          edited(records, versionKey(records, 3), '"rules":1', '"rules":2'),
        4,
        [1, 2, 4],
      ],
      [
        'files of all are gone',
        (records: readonly StoredRecord[]) =>
          records
            .filter(({ key }) => key.startsWith('texts.'))
            .map(({ key }) => [key, undefined] as const),
        4,
        [4],
      ],
    ])('where the %s, with all that can be verified', async (_, change, version, kept) => {
      const { policies, store, clock } = await changed(change);
      const made = await policies.apply(repair);
      expect(made).toMatchObject({ isNew: true, version: { version, reason: 'INC-1' } });
      expect(made.version.follows).toBe(kept.at(-2) ?? 0);
      expect(policies.fault).toBeUndefined();
      const next = await policies.apply(draftOf({ 'a.yaml': 'next' }, version));
      expect(next.version).toMatchObject({ version: version + 1, follows: undefined });
      const again = await openPolicyRegistry({ store, clock });
      const { versions, faults } = await again.policies.verify();
      expect(faults).toEqual([]);
      expect(versions.map((one) => one.version)).toEqual([...kept, version + 1]);
      expect(again.policies.fault).toBeUndefined();
      // What could not be read is forgotten as well.
      await again.policies.prune(2);
      expect((await store.bucket('policies').list('version.')).records).toHaveLength(2);
      expect((await again.policies.verify()).faults).toEqual([]);
    });

    it('by one of two who do it at once', async () => {
      const { policies, store, clock } = await changed(head('{'));
      const other = await openPolicyRegistry({ store, clock });
      const done = await Promise.allSettled([policies.apply(repair), other.policies.apply(repair)]);
      expect(done.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
      expect((await policies.verify()).faults).toEqual([]);
    });

    it('never where it is whole', async () => {
      const { policies } = await changed(() => []);
      await expect(policies.apply(repair)).rejects.toMatchObject({ code: 'ERR_POLICY_SET' });
      expect(policies.version?.version).toBe(3);
      const { policies: none } = await openPolicyRegistry();
      await expect(none.apply(repair)).rejects.toMatchObject({ code: 'ERR_POLICY_SET' });
    });

    it('and a repair that was edited to lead in circles is found', async () => {
      const { policies, store, clock } = await changed(gone(3));
      await policies.apply(repair);
      const bucket = store.bucket('policies');
      const { records } = await bucket.list('version.');
      const [[key, value]] = edited(records, versionKey(records, 4), '"follows":2', '"follows":4');
      await bucket.put(key, value);
      const again = await openPolicyRegistry({ store, clock });
      expect((await again.policies.verify()).faults).toHaveLength(1);
    });
  });

  it('is found where the chain was cut without a word in the head', async () => {
    const { policies } = await changed((records) =>
      edited(records, 'head', '"first":1', '"first":2'),
    );
    expect((await policies.verify()).faults).toEqual([
      expect.stringMatching(/^version 2 follows on/u),
    ]);
  });
});
