import { describe, expect, it } from 'vitest';
import { contentDigestOf } from '../../src/policies/policy-version.ts';
import { type PolicyTexts, policyFile } from '../../src/spiffe/index.ts';
import type { Store } from '../../src/store/index.ts';
import type { FakeClock } from '../fakes/fake-clock.ts';
import { draftOf, openPolicyRegistry } from '../fakes/open-policies.ts';
import { eventually } from '../programs/eventually.ts';

export interface PolicyStores {
  /** Two ways to the same records, as two servers have them; both may be one. */
  readonly one: Store;
  readonly two: Store;
  readonly clock: FakeClock;
}

const code = (is: string) => expect.objectContaining({ code: is });
const user = { author: { kind: 'user', uid: 0 } as const, claimedAuthor: '', reason: 'back' };
const textOf = (texts: PolicyTexts | undefined): Record<string, string> =>
  Object.fromEntries(
    (texts?.files ?? []).map(({ name, bytes }) => [name, Buffer.from(bytes).toString()]),
  );

/** What versions of policies hold to on every store. */
export function describePolicyRegistry(name: string, open: () => Promise<PolicyStores>): void {
  describe(`versions of policies in ${name}`, () => {
    async function openBoth() {
      const { one, two, clock } = await open();
      const first = await openPolicyRegistry({ store: one, clock });
      const second = await openPolicyRegistry({ store: two, clock });
      return { first: first.policies, second: second.policies, store: one, clock };
    }

    it('keeps files byte for byte, with who, why and when, and tells every server', async () => {
      const { first, second, clock } = await openBoth();
      const texts = { 'a.yaml': '# ä\r\na: 1\n', 'b.yml': '\ufeffb: 2' };
      const { version, isNew } = await first.apply(
        draftOf(texts, 0, { reason: 'CHG-1', claimedAuthor: 'Grace' }),
      );
      expect(isNew).toBe(true);
      expect(version).toMatchObject({
        version: 1,
        previous: '0'.repeat(64),
        createdAt: clock.now(),
        author: { kind: 'user', uid: 1000, name: 'ada' },
        claimedAuthor: 'Grace',
        reason: 'CHG-1',
        files: 2,
      });
      await eventually('the other server', () => second.current()?.version === 1 || undefined);
      expect(textOf(second.current())).toEqual(texts);
      expect(second.current()?.hash).toBe(version.hash);
      expect((await second.show(1)).version).toMatchObject(version);
    });

    it('makes no version of what is there already, unless it is told to', async () => {
      const { first } = await openBoth();
      await first.apply(draftOf({ 'a.yaml': '1' }, 0));
      const again = await first.apply(draftOf({ 'a.yaml': '1' }, 1));
      expect([again.isNew, again.version.version]).toEqual([false, 1]);
      const forced = await first.apply(draftOf({ 'a.yaml': '1' }, 1, { isForced: true }));
      expect([forced.isNew, forced.version.version]).toEqual([true, 2]);
    });

    it('lets one of two who change the same version have changed it, and loses nothing of the other', async () => {
      const { first, second } = await openBoth();
      await first.apply(draftOf({ 'a.yaml': '1' }, 0));
      const outcomes = await Promise.allSettled([
        first.apply(draftOf({ 'a.yaml': '2' }, 1, { reason: 'mine' })),
        second.apply(draftOf({ 'a.yaml': '3' }, 1, { reason: 'yours' })),
      ]);
      const failed = outcomes.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
      expect(failed).toEqual([code('ERR_POLICY_CONFLICT')]);
      expect(String(failed[0])).toMatch(/at version 2 by ada \(uid 1000\) \((mine|yours)\)/u);
      const { versions, faults } = await second.verify();
      expect(faults).toEqual([]);
      expect(versions.map(({ version }) => version)).toEqual([1, 2]);
      const text = String(failed[0]).includes('mine') ? '2' : '3';
      expect(textOf((await second.show(2)).texts)).toEqual({ 'a.yaml': text });
      // Who was told tries again.
      expect((await second.apply(draftOf({ 'a.yaml': '4' }, 2))).version.version).toBe(3);
    });

    it('goes back to earlier files by a new version', async () => {
      const { first } = await openBoth();
      await first.apply(draftOf({ 'a.yaml': '1' }, 0));
      await first.apply(draftOf({ 'b.yaml': '2' }, 1));
      const { version } = await first.rollback(1, { ...user, expected: 2 });
      expect(version).toMatchObject({ version: 3, restores: 1, reason: 'back' });
      expect(textOf(first.current())).toEqual({ 'a.yaml': '1' });
      await expect(first.rollback(9, { ...user, expected: 3 })).rejects.toEqual(
        code('ERR_POLICY_VERSION'),
      );
      expect((await first.rollback(1, { ...user, expected: 3 })).isNew).toBe(false);
    });

    it('takes a set that is far larger than a record', async () => {
      const { first, second } = await openBoth();
      const noise = Array.from({ length: 40 }, (_, at) =>
        policyFile(`n${at}.yaml`, randomText(100_000)),
      );
      await first.apply({ ...draftOf({}, 0), files: noise });
      await eventually('the other server', () => second.current()?.version === 1 || undefined);
      expect(contentDigestOf(second.current()?.files ?? [])).toBe(
        contentDigestOf(first.current()?.files ?? []),
      );
      expect((await second.verify()).faults).toEqual([]);
    });

    it('forgets old versions, and what is kept is a chain that is anchored', async () => {
      const { first, second, store, clock } = await openBoth();
      for (let at = 0; at < 5; at++) await first.apply(draftOf({ 'a.yaml': `${at}` }, at));
      await first.rollback(2, { ...user, expected: 5 });
      clock.advance(7_200_000);
      expect(await second.prune(2)).toBe(4);
      const { versions, faults } = await first.verify();
      expect(faults).toEqual([]);
      expect(versions.map(({ version }) => version)).toEqual([5, 6]);
      await expect(first.show(2)).rejects.toEqual(code('ERR_POLICY_VERSION'));
      // Version 6 has the files of version 2, which is gone.
      expect(textOf((await second.show(6)).texts)).toEqual({ 'a.yaml': '1' });
      const { records } = await store.bucket('policies').list('');
      // In order of their keys.
      expect(records.map(({ key }) => key.split('.', 1)[0])).toEqual([
        'head',
        'texts',
        'texts',
        'version',
        'version',
      ]);
      expect((await first.apply(draftOf({ 'a.yaml': 'x' }, 6))).version.version).toBe(7);
    });

    it('has all of it after a start', async () => {
      const { first, store, clock } = await openBoth();
      await first.apply(draftOf({ 'a.yaml': '1' }, 0));
      await first.apply(draftOf({ 'a.yaml': '2' }, 1));
      await first.close();
      const { policies } = await openPolicyRegistry({ store, clock });
      expect(policies.fault).toBeUndefined();
      expect(policies.version?.version).toBe(2);
      expect(textOf(policies.current())).toEqual({ 'a.yaml': '2' });
      expect(policies.versionOf((await policies.show(1)).version.hash)).toBe(1);
    });

    it.each([
      [{ 'A b.yaml': '1' }, {}],
      [{ '../a.yaml': '1' }, {}],
      [{ 'a.txt': '1' }, {}],
      [{}, {}],
      [{ 'a.yaml': 'x'.repeat(960_001) }, {}],
      [{ 'a.yaml': '1' }, { reason: ' ' }],
      [{ 'a.yaml': '1' }, { reason: 'two\nlines' }],
      [{ 'a.yaml': '1' }, { reason: 'two\u2028lines' }],
      [{ 'a.yaml': '1' }, { claimedAuthor: 'ada \u202Eni' }],
      [{ 'a.yaml': '1' }, { claimedAuthor: 'x'.repeat(257) }],
    ])('refuses what is out of bounds, and changes nothing', async (texts, more) => {
      const { first, store } = await openBoth();
      await expect(first.apply(draftOf({ ...texts }, 0, more))).rejects.toEqual(
        code('ERR_POLICY_SET'),
      );
      expect((await store.bucket('policies').list('')).records).toEqual([]);
      expect(first.current()).toBeUndefined();
    });
  });
}

function randomText(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size; at += 65_536) {
    crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  }
  return bytes;
}
