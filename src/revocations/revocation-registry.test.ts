import { describe, expect, it } from 'vitest';
import { settle } from '../../test/fakes/fake-clock.ts';
import { patchedBucket } from '../../test/fakes/open-registry.ts';
import { openRevocations } from '../../test/fakes/open-revocations.ts';
import { SpiffeId } from '../spiffe/index.ts';
import type { RevocationChange, RevocationDraft } from './index.ts';
import { decodeRevocation, encodeRevocation, revocationKey } from './revocation-record.ts';

const HOUR_MS = 3_600_000;
const web = SpiffeId.parse('spiffe://a.test/web');

function draft(fields: Partial<RevocationDraft> & { now: number }): RevocationDraft {
  const { now, ...rest } = fields;
  return {
    kind: 'spiffe-id',
    value: web.toString(),
    issuedBefore: now,
    expiresAt: now + HOUR_MS,
    reason: 'for a test',
    ...rest,
  };
}

describe('adding', () => {
  it('is in force and told of when it resolves, here and in other registries', async () => {
    const { clock, store, revocations } = await openRevocations();
    const other = await openRevocations({ clock, store });
    const changes: RevocationChange[] = [];
    other.revocations.watch((some) => changes.push(...some));
    const now = clock.now();
    const added = await revocations.add(draft({ now }));
    expect(revocations.find({ spiffeId: web, issuedAt: now - 1 })).toEqual(added);
    expect(revocations.find({ spiffeId: web, issuedAt: now })).toBeUndefined();
    await settle();
    expect(changes).toEqual([{ id: added.id, revocation: added }]);
    expect(other.revocations.list()).toEqual([added]);
    const later = await openRevocations({ clock, store });
    expect(later.revocations.list()).toEqual([added]);
  });

  it('again changes nothing, and tells nobody', async () => {
    const { clock, bucket, revocations } = await openRevocations();
    const now = clock.now();
    const first = await revocations.add(draft({ now }));
    const { revision } = await bucket.list('');
    const list = revocations.list();
    expect(await revocations.add(draft({ now: now - 1, reason: 'again' }))).toEqual(first);
    expect((await bucket.list('')).revision).toBe(revision);
    expect(revocations.list()).toBe(list);
  });

  it('keeps the later of both instants, whoever was first', async () => {
    const { clock, store, revocations } = await openRevocations();
    const other = await openRevocations({ clock, store });
    const now = clock.now();
    await Promise.all([
      revocations.add(draft({ now, issuedBefore: now + 5 })),
      other.revocations.add(draft({ now, issuedBefore: now, expiresAt: now + 2 * HOUR_MS })),
    ]);
    await settle();
    for (const each of [revocations, other.revocations]) {
      expect(each.list()).toMatchObject([{ issuedBefore: now + 5, expiresAt: now + 2 * HOUR_MS }]);
    }
  });

  it('knows a serial number in whatever form', async () => {
    const { clock, revocations } = await openRevocations();
    const now = clock.now();
    await revocations.add(draft({ now, kind: 'serial', value: '00AB' }));
    await revocations.add(draft({ now, kind: 'serial', value: 'ab' }));
    expect(revocations.list().map(({ value }) => value)).toEqual(['ab']);
    expect(
      revocations.find({ spiffeId: web, issuedAt: now - 1, serialNumber: '0aB' }),
    ).toBeDefined();
  });

  it.each([
    { value: '' },
    { value: 'x'.repeat(2_049) },
    { reason: 'x'.repeat(2_049) },
    { issuedBefore: -1 },
    { expiresAt: Number.NaN },
  ])('refuses %o', async (fields) => {
    const { clock, revocations } = await openRevocations();
    await expect(revocations.add(draft({ now: clock.now(), ...fields }))).rejects.toMatchObject({
      code: 'ERR_REVOCATION',
    });
  });

  it('fails when the store does, and after closing', async () => {
    const { clock, store } = await openRevocations();
    const bucket = patchedBucket(store.bucket('revocations'), {
      put: () => Promise.reject(new Error('full')),
    });
    const { revocations } = await openRevocations({ clock, store, bucket });
    await expect(revocations.add(draft({ now: clock.now() }))).rejects.toThrow('full');
    expect(revocations.list()).toEqual([]);
  });
});

describe('pruning', () => {
  it('deletes what has been expired for five minutes, and nothing that was extended meanwhile', async () => {
    const { clock, bucket, revocations } = await openRevocations();
    const now = clock.now();
    await revocations.add(draft({ now }));
    await revocations.add(draft({ now, kind: 'entry', value: 'e1', expiresAt: now + 9 * HOUR_MS }));
    await clock.advanceAsync(HOUR_MS);
    expect(revocations.list()).toHaveLength(2);
    await clock.advanceAsync(20 * 60_000);
    expect(revocations.list().map(({ kind }) => kind)).toEqual(['entry']);
    expect((await bucket.list('')).records).toHaveLength(1);
  });

  it('deletes nothing that only a clock that was ahead for a while says is expired', async () => {
    const { clock, store, bucket, revocations } = await openRevocations();
    const now = clock.now();
    await revocations.add(draft({ now }));
    await revocations.close();
    clock.jump(clock.now() + 48 * HOUR_MS);
    const ahead = await openRevocations({ clock, store });
    await clock.advanceAsync(300_000);
    clock.jump(clock.now() - 48 * HOUR_MS);
    await clock.advanceAsync(1_200_000);
    expect(ahead.revocations.list()).toHaveLength(1);
    expect((await bucket.list('')).records).toHaveLength(1);
    clock.jump(clock.now() + 48 * HOUR_MS);
    await clock.advanceAsync(1_200_000);
    expect(ahead.revocations.list()).toEqual([]);
  });

  it('is done once by all servers, and survives a store that fails', async () => {
    const { clock, store, revocations } = await openRevocations();
    let isBroken = true;
    const real = store.bucket('revocations');
    const bucket = patchedBucket(real, {
      delete: (key, expected) =>
        isBroken ? Promise.reject(new Error('full')) : real.delete(key, expected),
    });
    const other = await openRevocations({ clock, store, bucket });
    await revocations.add(draft({ now: clock.now() }));
    await revocations.close();
    await clock.advanceAsync(2 * HOUR_MS);
    expect(other.revocations.list()).toHaveLength(1);
    isBroken = false;
    await clock.advanceAsync(HOUR_MS);
    expect(other.revocations.list()).toEqual([]);
    await other.revocations.close();
    expect(clock.timers).toBe(0);
  });
});

describe('issuance', () => {
  it('is refused while an ID is held, and before the instant of its revocation', async () => {
    const { clock, revocations } = await openRevocations();
    const now = clock.now();
    const check = (issuedAt: number) => () =>
      revocations.checkIssuance({ spiffeId: web, issuedAt });
    const outer = revocations.withoutIssuance(web, async () => {
      await revocations.withoutIssuance(web, async () => {});
      expect(check(now)).toThrow('are being revoked');
      await revocations.add(draft({ now }));
    });
    await expect(outer).resolves.toBeUndefined();
    expect(check(now)).not.toThrow();
    expect(check(now - 1)).toThrow('behind a revocation');
    await expect(
      revocations.withoutIssuance(web, () => Promise.reject(new Error('no'))),
    ).rejects.toThrow('no');
    expect(check(now)).not.toThrow();
  });
});

describe('a record', () => {
  const revocation = {
    id: revocationKey({ kind: 'entry', value: 'e1' }),
    ...draft({ now: 1_000, kind: 'entry', value: 'e1' }),
  };

  it('is read back', () => {
    expect(decodeRevocation(revocation.id, encodeRevocation(revocation))).toEqual(revocation);
  });

  it.each([
    ['of another key', Buffer.from(encodeRevocation({ ...revocation, value: 'e2' }))],
    ['that is no JSON', Buffer.from('x')],
    ['of a later version', Buffer.from('{"v":2}')],
  ])('%s is refused, and ignored where it is stored', async (_, value) => {
    expect(() => decodeRevocation(revocation.id, value)).toThrow('cannot be read');
    const { clock, bucket, revocations } = await openRevocations();
    await bucket.put(revocation.id, value);
    await settle();
    expect(revocations.list()).toEqual([]);
    await revocations.add(draft({ now: clock.now(), kind: 'entry', value: 'e1' }));
    expect(revocations.list()).toHaveLength(1);
    const { revision } = (await bucket.get(revocation.id)) ?? {};
    await bucket.put(revocation.id, value, revision);
    await settle();
    expect(revocations.list()).toHaveLength(1);
  });
});
