import { describe, expect, it } from 'vitest';
import { parseSelector, SelectorSet, workloadGroupOf } from '../spiffe/index.ts';
import { buildWorkloads, parseWorkloads } from './workloads-message.ts';

const groupOf = (count: number, ...texts: readonly string[]) =>
  workloadGroupOf(SelectorSet.of(texts.map(parseSelector)), count);

describe('the workloads an agent tells of', () => {
  it('arrive as they were told', () => {
    const groups = [groupOf(3, 'unix:uid:1', 'k8s:ns:x'), groupOf(1)];
    expect(parseWorkloads(buildWorkloads({ groups, isPartial: false }))).toEqual({
      groups,
      isPartial: false,
    });
  });

  it('are cut where there are too many, and said to be', () => {
    const groups = Array.from({ length: 1_500 }, (_, uid) => groupOf(1, `unix:uid:${uid}`));
    const wire = buildWorkloads({ groups, isPartial: false });
    expect([wire.groups?.length, wire.is_partial]).toEqual([1_000, true]);
    expect(parseWorkloads(wire).groups).toHaveLength(1_000);
  });

  it.each([
    [{ groups: Array.from({ length: 1_001 }, () => ({})) }],
    [{ groups: [{ selectors: new Uint8Array(7) }] }],
    [{ groups: [{ selectors: new Uint8Array(257 * 8) }] }],
    [{ groups: Array.from({ length: 100 }, () => ({ selectors: new Uint8Array(256 * 8) })) }],
  ])('are refused out of bounds', (wire) => {
    expect(() => parseWorkloads(wire)).toThrow(/workloads: expected at most/u);
  });
});
