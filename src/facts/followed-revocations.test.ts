import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { testRevocation } from '../../test/fakes/sync-world.ts';
import type { Revocation } from '../spiffe/index.ts';
import { FollowedRevocations, revocationChanges } from './followed-revocations.ts';

const many = Array.from({ length: 1_000 }, (_, at) => testRevocation(`r${at}`));

describe('what differs between two lists of revocations', () => {
  it('is what came, went, or took the place of another', () => {
    const other = { ...testRevocation('r500'), reason: 'another' };
    const added = testRevocation('new');
    expect(revocationChanges(many, [...many, added])).toEqual(new Map([['new', added]]));
    expect(revocationChanges(many, [added, ...many])).toEqual(new Map([['new', added]]));
    expect(revocationChanges(many, many.toSpliced(500, 1))).toEqual(new Map([['r500', undefined]]));
    expect(revocationChanges(many, many.toSpliced(0, 3)).size).toBe(3);
    expect(revocationChanges(many, many.with(500, other))).toEqual(new Map([['r500', other]]));
    expect(revocationChanges(many, [...many])).toEqual(new Map());
  });

  it('leads from any list to any other', () => {
    const revocation = fc
      .record({ id: fc.nat({ max: 12 }), version: fc.nat({ max: 1 }) })
      .map(({ id, version }) => versions[version]?.[id] ?? testRevocation('r'));
    const list = fc.uniqueArray(revocation, { selector: ({ id }) => id });
    fc.assert(
      fc.property(list, list, (before, after) => {
        const followed = new FollowedRevocations();
        followed.follow(before);
        followed.follow(after);
        expect([...followed.byId.values()].sort(byId)).toEqual([...after].sort(byId));
        const kept = before.filter((one) => after.includes(one)).map(({ id }) => id);
        const changes = revocationChanges(before, after);
        expect(kept.filter((id) => changes.has(id))).toEqual([]);
      }),
      { numRuns: 1_000 },
    );
  });
});

const versions = ['one', 'other'].map((reason) =>
  Array.from({ length: 13 }, (_, at) => ({ ...testRevocation(`r${at}`), reason })),
);

function byId(one: Revocation, other: Revocation): number {
  return one.id < other.id ? -1 : 1;
}
