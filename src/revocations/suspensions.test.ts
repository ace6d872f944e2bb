import { describe, expect, it } from 'vitest';
import { FakeClock, settle } from '../../test/fakes/fake-clock.ts';
import { patchedBucket } from '../../test/fakes/open-registry.ts';
import { openRevocations } from '../../test/fakes/open-revocations.ts';
import { SpiffeId } from '../spiffe/index.ts';
import { LIFTED_KEPT_MS, lastingSuspensions } from './lasting-suspensions.ts';
import { encodeSuspension, type SuspensionFact, suspensionKey } from './suspension-record.ts';
import type { SuspensionDraft } from './suspensions.ts';

const web = SpiffeId.parse('spiffe://a.test/web');
const host = SpiffeId.parse('spiffe://a.test/spire/agent/join_token/1');
const draft: SuspensionDraft = {
  kind: 'spiffe-id',
  value: web.toString(),
  reason: 'its key leaked',
  by: 'uid 0',
};
const lift = { ...draft, reason: 'it is well' };

describe('suspending', () => {
  it('is in force and told of when it resolves, here, in other registries and in later ones', async () => {
    const { clock, store, revocations } = await openRevocations();
    const other = await openRevocations({ clock, store });
    let told = 0;
    other.revocations.suspensions.watch(() => told++);
    const made = await revocations.suspensions.suspend(draft);
    expect(made).toMatchObject({ ...draft, since: clock.now() });
    expect(revocations.suspensions.find({ spiffeId: web })).toEqual(made);
    expect(() => revocations.suspensions.check({ spiffeId: web })).toThrow(
      expect.objectContaining({ code: 'ERR_SVID_SUSPENDED' }),
    );
    await settle();
    expect(told).toBe(1);
    const later = await openRevocations({ clock, store });
    for (const each of [other, later]) {
      expect(each.revocations.suspensions.list()).toEqual([made]);
      expect(each.revocations.list()).toEqual([]);
    }
  });

  it('finds an entry, an ID and an agent, and nothing else', async () => {
    const { revocations } = await openRevocations();
    const { suspensions } = revocations;
    await suspensions.suspend({ ...draft, kind: 'entry', value: 'e1' });
    await suspensions.suspend({ ...draft, kind: 'agent', value: host.toString() });
    const other = SpiffeId.parse('spiffe://a.test/other');
    expect(suspensions.find({ spiffeId: web })).toBeUndefined();
    expect(suspensions.find({ spiffeId: web, entryId: 'e2', agentId: other })).toBeUndefined();
    expect(suspensions.find({ spiffeId: web, entryId: 'e1' })).toMatchObject({ kind: 'entry' });
    expect(suspensions.find({ spiffeId: web, agentId: host })).toMatchObject({ kind: 'agent' });
  });

  it('twice keeps since when, and the later words', async () => {
    const { clock, revocations } = await openRevocations();
    const first = await revocations.suspensions.suspend(draft);
    clock.advance(1_000);
    const second = await revocations.suspensions.suspend({ ...draft, reason: 'again', by: 'b' });
    expect(second).toMatchObject({ since: first.since, reason: 'again', by: 'b' });
    expect(revocations.suspensions.list()).toEqual([second]);
  });

  it.each([{ value: '' }, { reason: 'x'.repeat(2_049) }, { by: 'x'.repeat(2_049) }])(
    'refuses %o',
    async (fields) => {
      const { revocations } = await openRevocations();
      const code = 'ERR_SUSPENSION';
      const { suspensions } = revocations;
      await expect(suspensions.suspend({ ...draft, ...fields })).rejects.toMatchObject({ code });
      await expect(suspensions.lift({ ...draft, ...fields })).rejects.toMatchObject({ code });
    },
  );

  it('takes the place of a record that cannot be read', async () => {
    const { bucket, revocations } = await openRevocations();
    await bucket.put(suspensionKey(draft), Buffer.from('garbage'));
    await revocations.suspensions.suspend(draft);
    expect(revocations.suspensions.list()).toHaveLength(1);
  });
});

describe('lifting', () => {
  it('leaves who ended it, when and why', async () => {
    const { clock, store, revocations } = await openRevocations();
    const { suspensions } = revocations;
    const { at: _, ...made } = await suspensions.suspend(draft);
    clock.advance(5);
    await suspensions.lift(lift);
    const lifted = { at: clock.now(), reason: 'it is well', by: 'uid 0' };
    expect(suspensions.facts()).toMatchObject([{ ...made, lifted }]);
    expect(suspensions.list()).toEqual([]);
    expect(suspensions.find({ spiffeId: web })).toBeUndefined();
    const later = await openRevocations({ clock, store });
    expect(later.revocations.suspensions.list()).toEqual([]);
  });

  it('is refused where nothing is suspended, or nothing any more', async () => {
    const { revocations } = await openRevocations();
    const { suspensions } = revocations;
    const code = 'ERR_SUSPENSION_NOT_FOUND';
    await expect(suspensions.lift(lift)).rejects.toMatchObject({ code });
    await suspensions.suspend(draft);
    await suspensions.lift(lift);
    await expect(suspensions.lift(lift)).rejects.toMatchObject({ code });
  });

  it('does not lift what was suspended meanwhile by another', async () => {
    const { clock, store, bucket, revocations } = await openRevocations();
    await revocations.suspensions.suspend(draft);
    const racing = await openRevocations({
      clock,
      store,
      bucket: patchedBucket(bucket, {
        async put(...args) {
          await revocations.suspensions.suspend({ ...draft, reason: 'once more' });
          return await bucket.put(...args);
        },
      }),
    });
    await expect(racing.revocations.suspensions.lift(lift)).rejects.toMatchObject({
      code: 'ERR_SUSPENSION_CONFLICT',
    });
    expect(revocations.suspensions.list()).toMatchObject([{ reason: 'once more' }]);
  });

  it('and suspending at once end suspended', async () => {
    for (let round = 0; round < 20; round++) {
      const { clock, store, revocations } = await openRevocations();
      const other = await openRevocations({ clock, store });
      await revocations.suspensions.suspend(draft);
      const acts = [
        () => revocations.suspensions.suspend(draft),
        () => other.revocations.suspensions.lift(lift),
      ];
      if (round % 2 === 0) acts.reverse();
      await Promise.allSettled(acts.map((act) => act()));
      await settle();
      expect(other.revocations.suspensions.list()).toHaveLength(1);
    }
  });

  it('and what is suspended after it, by a clock that is behind, is later', async () => {
    const { store, revocations } = await openRevocations();
    const slow = await openRevocations({ clock: new FakeClock(1_000_000_000_000), store });
    await revocations.suspensions.suspend(draft);
    await revocations.suspensions.lift(lift);
    await settle();
    const again = await slow.revocations.suspensions.suspend(draft);
    const [fact] = slow.revocations.suspensions.facts();
    expect(fact).toEqual(again);
    const key = suspensionKey(draft);
    const value = encodeSuspension({ ...again, at: again.at - 1, lifted: undefined });
    expect(lastingSuspensions.join(key, value, encodeSuspension(again))).toBeUndefined();
  });

  it('is forgotten after 90 days, and a suspension never', async () => {
    const { clock, revocations } = await openRevocations();
    const { suspensions } = revocations;
    await suspensions.suspend({ ...draft, value: 'spiffe://a.test/bad' });
    await suspensions.suspend(draft);
    await suspensions.lift(lift);
    clock.advance(LIFTED_KEPT_MS - 1);
    await settle();
    expect(suspensions.facts()).toHaveLength(2);
    clock.advance(1_800_000);
    await settle();
    expect(suspensions.facts()).toMatchObject([{ value: 'spiffe://a.test/bad' }]);
  });
});

describe('what is remembered of a subject', () => {
  const at = 1_700_000_000_000;
  const suspended: SuspensionFact = { ...draft, id: suspensionKey(draft), since: at, at };
  const lifted = (when: number): SuspensionFact => ({
    ...suspended,
    lifted: { at: when, reason: '', by: '' },
  });
  const join = (known: SuspensionFact, stored: SuspensionFact | undefined) => {
    const { id } = suspended;
    const value = stored && encodeSuspension(stored);
    const joined = lastingSuspensions.join(id, encodeSuspension(known), value);
    return joined && JSON.parse(Buffer.from(joined).toString());
  };

  it('comes back into a store that lost it', () => {
    expect(join(suspended, undefined)).toMatchObject({ since: at });
  });

  it.each([
    ['a later lifting stands', suspended, lifted(at + 1), undefined],
    [
      'a later suspension comes back',
      { ...suspended, at: at + 2 },
      lifted(at + 1),
      [at + 2, false],
    ],
    ['a later lifting comes back', lifted(at + 1), suspended, [at, true]],
    ['of both at once it is suspended', suspended, lifted(at), [at, false]],
    ['and stays so', lifted(at), suspended, undefined],
  ] as const)('%s', (_, known, stored, expected) => {
    const joined = join(known, stored);
    expect(joined && [joined.at, joined.lifted !== undefined]).toEqual(expected);
  });

  it('is nothing where it cannot be read', () => {
    const { id } = suspended;
    expect(lastingSuspensions.join(id, Buffer.from('{}'), undefined)).toBeUndefined();
    expect(lastingSuspensions.endOf(id, Buffer.from('{}'))).toBeUndefined();
    expect(lastingSuspensions.endOf(id, encodeSuspension(suspended))).toBeUndefined();
  });
});
