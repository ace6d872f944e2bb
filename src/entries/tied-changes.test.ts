import { describe, expect, it } from 'vitest';
import { codeOf } from '../../test/fakes/code-of.ts';
import { openRegistry } from '../../test/fakes/open-registry.ts';
import { testDraft } from '../../test/fakes/test-entries.ts';

describe('a change that is tied to a revision', () => {
  it('is made while the entry stands there, and not after another', async () => {
    const { registry } = await openRegistry();
    const { entry } = await registry.create(testDraft('web'));
    const revision = registry.standing(entry.id)?.revision;
    await registry.update(entry.id, { hint: 'one' }, revision);
    const late = () => registry.update(entry.id, { hint: 'two' }, revision);
    expect(await codeOf(late)).toBe('ERR_ENTRY_CHANGED');
    expect(await codeOf(() => registry.delete(entry.id, revision))).toBe('ERR_ENTRY_CHANGED');
    expect(registry.get(entry.id)).toMatchObject({ hint: 'one' });
    await registry.delete(entry.id, registry.standing(entry.id)?.revision);
    expect(registry.count()).toBe(0);
  });

  it('keeps the set of an entry through changes by hand and a restart', async () => {
    const { registry, store, clock } = await openRegistry();
    const { entry } = await registry.create({ ...testDraft('web'), managedBy: 'payments' });
    await registry.update(entry.id, { hint: 'by hand' });
    const again = await openRegistry({ store, clock });
    expect(again.registry.get(entry.id)).toMatchObject({ managedBy: 'payments', hint: 'by hand' });
    expect(again.registry.standingLike(entry)?.entry.id).toBe(entry.id);
  });
});
