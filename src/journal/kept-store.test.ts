import { rmSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import { keptPlace } from '../../test/fakes/kept-place.ts';
import {
  bytesOf,
  revocationRecord,
  suspensionRecord,
  textOf,
} from '../../test/fakes/lasting-samples.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { journalLimits } from './fact-journal.ts';
import { JournalFile } from './journal-file.ts';

describe('a store that is set back to an old copy', () => {
  it('gets back what was revoked since, and is said to be old', async () => {
    const place = keptPlace();
    const first = await place.open();
    await first.kept.bucket('entries').put('e1', bytesOf('entry'));
    await first.close();
    place.save('old');
    const second = await place.open();
    const { key, value } = revocationRecord('spiffe://a.test/w', place.clock.now());
    await second.kept.bucket('revocations').put(key, value);
    await second.kept.bucket('entries').put('e2', bytesOf('entry'));
    await second.kept.bucket('entries').delete('e1');
    await second.close();
    place.setBack('old');
    const third = await place.open();
    expect(third.kept.asserted.lost).toEqual([
      { bucket: 'revocations', from: 0, to: 1 },
      { bucket: 'entries', from: 1, to: 3 },
    ]);
    expect(await third.kept.bucket('revocations').get(key)).toMatchObject({ value });
    // An entry that was deleted stays so; one that came since is lost, and that is said.
    expect(await third.kept.bucket('entries').get('e1')).toBeUndefined();
    expect(await third.kept.bucket('entries').get('e2')).toBeUndefined();
    expect(third.lines.join()).toContain('the store went back to an earlier revision');
    expect(await third.metrics.render()).toContain('trustplane_store_rollbacks_total 1');
    await third.close();
    const fourth = await place.open();
    expect(fourth.kept.asserted).toEqual({ lost: [], healed: 0 });
    expect(fourth.lines).toEqual([]);
  });

  it('gets back what was suspended since, and what was lifted', async () => {
    const place = keptPlace();
    const first = await place.open();
    const lifted = suspensionRecord('spiffe://a.test/lifted', place.clock.now());
    await first.kept.bucket('revocations').put(lifted.key, lifted.value);
    await first.close();
    place.save('old');
    const second = await place.open();
    const bucket = second.kept.bucket('revocations');
    const suspended = suspensionRecord('spiffe://a.test/suspended', place.clock.now());
    await bucket.put(suspended.key, suspended.value);
    await bucket.put(lifted.key, lifted.liftedAt(place.clock.now() + 1));
    await second.close();
    place.setBack('old');
    const third = await place.open();
    const now = third.kept.bucket('revocations');
    expect(await now.get(suspended.key)).toMatchObject({ value: suspended.value });
    expect(textOf((await now.get(lifted.key))?.value)).toContain('"lifted"');
    await third.close();
  });

  it('gets back what was put and changed, and loses again what was deleted', async () => {
    const place = keptPlace();
    const first = await place.open();
    const bucket = first.kept.bucket('federation');
    await bucket.put('relationship.b', bytesOf('b1'));
    await bucket.put('relationship.c', bytesOf('c1'));
    await first.close();
    place.save('old');
    const second = await place.open();
    await second.kept.bucket('federation').put('relationship.b', bytesOf('b2'));
    await second.kept.bucket('federation').delete('relationship.c');
    await second.kept.bucket('federation').put('relationship.d', bytesOf('d1'));
    await second.close();
    place.setBack('old');
    const third = await place.open();
    expect(third.kept.asserted.healed).toBe(3);
    const { records } = await third.kept.bucket('federation').list('');
    expect(records.map(({ key, value }) => [key, textOf(value)])).toEqual([
      ['relationship.b', 'b2'],
      ['relationship.d', 'd1'],
    ]);
  });

  it('is not taken for old when it has what the journal has not', async () => {
    const place = keptPlace();
    const first = await place.open();
    await first.kept.bucket('federation').put('relationship.b', bytesOf('b1'));
    await first.kept.bucket('federation').put('relationship.c', bytesOf('c1'));
    await first.kept.close();
    // As another server would, while this one knows nothing of it.
    await first.store.bucket('federation').put('relationship.b', bytesOf('b2'));
    await first.store.bucket('federation').delete('relationship.c');
    await first.close();
    const second = await place.open();
    expect(second.kept.asserted).toEqual({ lost: [], healed: 0 });
    expect((await second.journal.read('federation', 'relationship.b'))?.revision).toBe(3);
    expect(second.journal.at('federation', 'relationship.c')?.isDeleted).toBe(true);
  });

  it('stands where there is no journal, which then is begun', async () => {
    const place = keptPlace();
    const first = await place.open();
    await first.kept.bucket('federation').put('relationship.b', bytesOf('b1'));
    await first.close();
    rmSync(place.files.journal);
    const second = await place.open();
    expect(second.kept.asserted).toEqual({ lost: [], healed: 0 });
    expect(second.journal.isNew).toBe(true);
    expect(second.journal.at('federation', 'relationship.b')?.revision).toBe(1);
  });

  it('is asserted to as a whole when nothing is left of it', async () => {
    const place = keptPlace();
    const first = await place.open();
    await first.kept.bucket('federation').put('relationship.b', bytesOf('b1'));
    await first.kept.bucket('federation').put('relationship.c', bytesOf('c1'));
    await first.kept.bucket('federation').delete('relationship.c');
    await first.close();
    rmSync(place.files.database);
    const second = await place.open();
    expect(second.kept.asserted.lost).toEqual([{ bucket: 'federation', from: 0, to: 3 }]);
    const { records } = await second.kept.bucket('federation').list('');
    expect(records.map(({ key }) => key)).toEqual(['relationship.b']);
  });
});

describe('a journal that cannot be written', () => {
  it('has the change refused, and nothing answered for that it does not have', async () => {
    const place = keptPlace();
    const { kept, journal, close } = await place.open();
    const bucket = kept.bucket('federation');
    const error = new TrustplaneError('ERR_JOURNAL_WRITE', 'no room');
    const append = vi.spyOn(JournalFile.prototype, 'append').mockRejectedValue(error);
    await expect(bucket.put('relationship.b', bytesOf('b1'))).rejects.toBe(error);
    await expect(bucket.get('relationship.b')).rejects.toBe(error);
    append.mockRestore();
    expect(textOf((await bucket.get('relationship.b'))?.value)).toBe('b1');
    expect((await journal.read('federation', 'relationship.b'))?.revision).toBe(1);
    await close();
    const again = await place.open();
    expect((await again.journal.read('federation', 'relationship.b'))?.revision).toBe(1);
  });

  it('is tried again by itself', async () => {
    const place = keptPlace();
    const { kept, journal } = await place.open();
    const error = new TrustplaneError('ERR_JOURNAL_WRITE', 'no room');
    vi.spyOn(JournalFile.prototype, 'append').mockRejectedValueOnce(error);
    await expect(kept.bucket('federation').put('k', bytesOf('v'))).rejects.toBe(error);
    place.clock.advance(journalLimits.retryMs);
    await journal.settled();
    expect((await journal.read('federation', 'k'))?.revision).toBe(1);
  });
});
