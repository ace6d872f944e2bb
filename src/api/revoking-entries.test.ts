import { describe, expect, it } from 'vitest';
import { openRegistry } from '../../test/fakes/open-registry.ts';
import { openRevocations } from '../../test/fakes/open-revocations.ts';
import { testDraft } from '../../test/fakes/test-entries.ts';
import { silentLog } from '../ops/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { createRevokingEntries } from './revoking-entries.ts';

const HOUR_MS = 3_600_000;

async function open() {
  const { clock, store, registry } = await openRegistry();
  const { revocations } = await openRevocations({ clock, store });
  const options = {
    entries: registry,
    revocations,
    lastSvidEnd: () => clock.now() + HOUR_MS,
    latestIssue: () => clock.now(),
    log: silentLog,
  };
  const entries = createRevokingEntries(options);
  const create = async (name: string, uid: number) =>
    (await entries.create(testDraft(name, [`unix:uid:${uid}`]))).entry.id;
  const revoked = () => revocations.list().map(({ value }) => value.replace('spiffe://a.test', ''));
  return { clock, revocations, options, entries, create, revoked };
}

describe('deleting an entry', () => {
  it('revokes what was issued to its ID, if it was the last', async () => {
    const { clock, entries, create, revocations } = await open();
    const id = await create('web', 1);
    await entries.delete(id);
    expect(revocations.list()).toMatchObject([
      {
        kind: 'spiffe-id',
        value: 'spiffe://a.test/web',
        issuedBefore: clock.now() + 1,
        expiresAt: clock.now() + HOUR_MS,
      },
    ]);
  });

  it('revokes nothing while another entry has the ID', async () => {
    const { entries, create, revoked } = await open();
    const [one, two] = [await create('web', 1), await create('web', 2)];
    await entries.delete(one);
    expect(revoked()).toEqual([]);
    await entries.delete(two);
    expect(revoked()).toEqual(['/web']);
  });

  it('revokes when all entries of an ID are deleted at once', async () => {
    const { entries, create, revoked } = await open();
    const ids = await Promise.all(Array.from({ length: 20 }, (_, uid) => create('web', uid)));
    await Promise.all(ids.map((id) => entries.delete(id)));
    expect(revoked()).toEqual(['/web']);
    expect(entries.count()).toBe(0);
  });

  it('deletes nothing when the revocation fails', async () => {
    const { options, create } = await open();
    const id = await create('web', 1);
    const entries = createRevokingEntries({
      ...options,
      revocations: {
        add: () => Promise.reject(new TrustplaneError('ERR_STORE_FULL', 'full')),
        withoutIssuance: (_, work) => work(),
      },
    });
    await expect(entries.delete(id)).rejects.toMatchObject({ code: 'ERR_STORE_FULL' });
    expect(entries.get(id)).toBeDefined();
  });

  it('goes through when there are too many revocations', async () => {
    const { options, create } = await open();
    const id = await create('web', 1);
    const entries = createRevokingEntries({
      ...options,
      revocations: {
        add: () => Promise.reject(new TrustplaneError('ERR_REVOCATION_LIMIT', 'too many')),
        withoutIssuance: (_, work) => work(),
      },
    });
    await entries.delete(id);
    expect(entries.get(id)).toBeUndefined();
  });

  it('that is not there is refused, and revokes nothing', async () => {
    const { entries, revoked } = await open();
    await expect(entries.delete('none')).rejects.toMatchObject({ code: 'ERR_ENTRY_NOT_FOUND' });
    expect(revoked()).toEqual([]);
  });
});

describe('updating an entry', () => {
  it('revokes what was issued to the ID that it leaves', async () => {
    const { entries, create, revoked } = await open();
    const id = await create('web', 1);
    await entries.update(id, { hint: 'x' });
    await entries.update(id, { spiffeId: 'spiffe://a.test/web' });
    expect(revoked()).toEqual([]);
    await entries.update(id, { spiffeId: 'spiffe://a.test/db' });
    expect(revoked()).toEqual(['/web']);
  });

  it('two that swap their IDs do not wait for each other', async () => {
    const { entries, create, revoked } = await open();
    const [one, two] = [await create('web', 1), await create('db', 2)];
    await Promise.all([
      entries.update(one, { spiffeId: 'spiffe://a.test/db' }),
      entries.update(two, { spiffeId: 'spiffe://a.test/web' }),
      entries.update(one, { spiffeId: 'spiffe://a.test/c' }),
    ]);
    expect(revoked().sort()).toEqual(['/db', '/web']);
  });
});
