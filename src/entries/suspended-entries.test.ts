import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { settle } from '../../test/fakes/fake-clock.ts';
import { openRegistry, testAgent } from '../../test/fakes/open-registry.ts';
import { openRevocations } from '../../test/fakes/open-revocations.ts';
import { testAgentId, testDraft } from '../../test/fakes/test-entries.ts';
import { parseSelector, SelectorSet, type SuspensionKind } from '../spiffe/index.ts';
import type { AgentEntries } from './authorized-entries.ts';

const workload = SelectorSet.of([parseSelector('unix:uid:1000')]);
const web = 'spiffe://a.test/web';

/** A registry that keeps to suspensions, the test agent's entries in it, and what `watch` tells added up. */
async function openGround() {
  const { clock, store, revocations } = await openRevocations();
  const { suspensions } = revocations;
  const { registry } = await openRegistry({ clock, store, suspensions });
  const entries = registry.authorizedEntries(testAgent);
  return {
    registry,
    entries,
    told: follow(entries),
    suspend: (kind: SuspensionKind, value: string) =>
      suspensions.suspend({ kind, value, reason: '', by: 'test' }),
    lift: (kind: SuspensionKind, value: string) =>
      suspensions.lift({ kind, value, reason: '', by: 'test' }),
  };
}

/** Fails where a change does not begin at what was told before. */
function follow(entries: AgentEntries): ReadonlyMap<string, unknown> {
  const told = new Map<string, unknown>(Array.from(entries.held(), (entry) => [entry.id, entry]));
  entries.watch((changes) => {
    for (const { before, after } of changes) {
      const id = (before ?? after)?.id ?? '';
      expect(told.get(id)).toBe(before);
      if (after === undefined) told.delete(id);
      else told.set(id, after);
    }
  });
  return told;
}

const idsOf = (entries: AgentEntries): string[] => entries.match(workload).map(({ id }) => id);

describe('what an agent may serve', () => {
  it.each([
    ['entry', 'web-1', ['web-2', 'db']],
    ['spiffe-id', web, ['db']],
    ['agent', testAgentId, []],
  ] as const)('is without what is suspended by %s, and has it again', async (kind, value, left) => {
    const { registry, entries, told, suspend, lift } = await openGround();
    await registry.create(testDraft('web', undefined, { id: 'web-1' }));
    await registry.create(testDraft('web', undefined, { id: 'web-2', parentId: web }));
    await registry.create(testDraft('db', undefined, { id: 'db' }));
    await suspend(kind, value);
    expect(new Set(idsOf(entries))).toEqual(new Set(left));
    expect(new Set(told.keys())).toEqual(new Set(left));
    for (const id of ['web-1', 'web-2', 'db']) {
      const isLeft = left.some((one) => one === id);
      expect([entries.get(id), entries.heldAs(id)].map((entry) => entry?.id)).toEqual(
        isLeft ? [id, id] : [undefined, undefined],
      );
      // For administrators it is there.
      expect(registry.get(id)?.id).toBe(id);
    }
    expect(entries.all().map(({ id }) => id)).toEqual([...left].sort());
    await lift(kind, value);
    expect(new Set(told.keys())).toEqual(new Set(['web-1', 'web-2', 'db']));
    expect(idsOf(entries)).toHaveLength(3);
  });

  it('is without an entry that is made, made again or given another ID while its ID is suspended', async () => {
    const { registry, entries, told, suspend, lift } = await openGround();
    await registry.create(testDraft('web', undefined, { id: 'one' }));
    await suspend('spiffe-id', web);
    await registry.delete('one');
    await registry.create(testDraft('web', undefined, { id: 'two' }));
    await registry.create(testDraft('db', undefined, { id: 'db' }));
    expect([...told.keys()]).toEqual(['db']);
    await registry.update('db', {
      spiffeId: web,
      hint: 'moved',
      selectors: [parseSelector('unix:uid:7')],
    });
    expect([...told.keys()]).toEqual([]);
    await registry.update('two', { spiffeId: 'spiffe://a.test/free' });
    expect([...told.keys()]).toEqual(['two']);
    await lift('spiffe-id', web);
    expect(new Set(told.keys())).toEqual(new Set(['two', 'db']));
    expect(entries.get('db')?.hint).toBe('moved');
  });

  it('keeps what is below an ID that is suspended', async () => {
    const { registry, entries, suspend } = await openGround();
    await registry.create(testDraft('web', undefined, { id: 'parent' }));
    await registry.create(testDraft('child', undefined, { id: 'child', parentId: web }));
    await suspend('spiffe-id', web);
    expect(idsOf(entries)).toEqual(['child']);
  });

  it('is nothing for an agent that begins while it is suspended', async () => {
    const { registry, suspend, lift } = await openGround();
    await registry.create(testDraft('web', undefined, { id: 'web' }));
    await suspend('agent', testAgentId);
    const entries = registry.authorizedEntries(testAgent);
    const told = follow(entries);
    expect([...entries.held(), ...entries.all(), ...entries.match(workload)]).toEqual([]);
    await registry.create(testDraft('db', undefined, { id: 'db' }));
    expect(told.size).toBe(0);
    await lift('agent', testAgentId);
    expect([...told.keys()].sort()).toEqual(['db', 'web']);
  });

  it('is the same as if it was asked for anew, whatever is suspended, lifted and written', async () => {
    const names = ['a', 'b', 'c'];
    const name = fc.constantFrom(...names);
    const idOf = (text: string): string => `spiffe://a.test/${text}`;
    const subject = fc.oneof(
      name.map((text) => ['entry', text] as const),
      name.map((text) => ['spiffe-id', idOf(text)] as const),
      fc.constant(['agent', testAgentId] as const),
    );
    const step = fc.oneof(
      fc.record({ type: fc.constantFrom('suspend', 'lift'), subject }),
      fc.record({ type: fc.constant('create'), id: name, of: name }),
      fc.record({ type: fc.constant('move'), id: name, of: name }),
      fc.record({ type: fc.constant('delete'), id: name }),
    );
    type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps: readonly Step[]) => {
        const { registry, told, suspend, lift } = await openGround();
        for (const each of steps) {
          const act = async (): Promise<unknown> => {
            if ('subject' in each) {
              const [kind, value] = each.subject;
              return await (each.type === 'lift' ? lift : suspend)(kind, value);
            }
            if (!('of' in each)) return await registry.delete(each.id);
            if (each.type === 'move')
              return await registry.update(each.id, { spiffeId: idOf(each.of) });
            return await registry.create(testDraft(each.of, undefined, { id: each.id }));
          };
          await act().catch(() => {});
        }
        await settle();
        const anew = registry.authorizedEntries(testAgent);
        expect(new Set(told.values())).toEqual(new Set(anew.held()));
        for (const entry of told.values()) expect(anew.heldAs(Object(entry).id)).toBe(entry);
      }),
      { numRuns: 60 },
    );
  });
});
