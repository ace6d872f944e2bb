import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAccessLogEntry } from '../../src/envoy/access-log-entry.ts';
import { attempt } from './attempt.ts';

const names = [
  'time',
  'method',
  'path',
  'authority',
  'status',
  'details',
  'peer',
  'sourceIp',
  'destinationPort',
  'service',
  'rbac',
  'extAuthz',
  'reason',
  '__proto__',
  'enforced_engine_result',
  'tp_enforced_engine_result',
  'tp_enforced_effective_policy_id',
  'tp_alone_shadow_engine_result',
  'tp_draft_shadow_engine_result',
] as const;
const scalars = [null, 1, 0.5, -1, 70_000, '', '-', 'allowed', 'denied', '2026-01-01T00:00:00Z'];
const details = 'rbac_access_denied_matched_policy[a]';
const { object } = fc.letrec<{ object: Record<string, unknown>; value: unknown }>((tie) => ({
  object: fc.dictionary(fc.constantFrom(...names), tie('value'), { maxKeys: 8 }),
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom<unknown>(...scalars, details),
    fc.string(),
    tie('object'),
    fc.array(tie('value'), { maxLength: 3 }),
  ),
}));

/** As Envoy leaves it: one effective policy and one result for each tree. */
const verdict = fc.record({
  isAllowed: fc.boolean(),
  name: fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,20}(?:\/[a-z0-9]{1,5})?$/u),
});
const line = fc.record({
  method: fc.stringMatching(/^[A-Z]{1,9}$/u),
  path: fc.stringMatching(/^\/[!-~]{0,30}$/u),
  peer: fc.option(fc.stringMatching(/^[!-,.-~][!-~]{1,20}$/u), { nil: undefined }),
  enforced: verdict,
  alone: fc.option(verdict, { nil: undefined }),
  draft: fc.option(verdict, { nil: undefined }),
});

describe('parseAccessLogEntry', () => {
  it('reads any text or refuses it with its own error', () => {
    let read = 0;
    const check = (text: string): void => {
      const entry = attempt(() => parseAccessLogEntry(text));
      if (entry === undefined) return;
      read++;
      expect(entry.isWhole || entry.enforced !== undefined || entry.alone !== undefined).toBe(true);
      expect(entry.status ?? 0).toBeLessThanOrEqual(999);
      expect(entry.time ?? 0).not.toBeNaN();
      for (const text of [entry.path, entry.peer, entry.enforced?.name])
        expect(['string', 'undefined']).toContain(typeof text);
    };
    const text = fc.oneof(
      fc.string(),
      object.map((value) => JSON.stringify(value)),
      fc
        .tuple(
          object.map((value) => JSON.stringify(value)),
          fc.nat(200),
          fc.string({ maxLength: 3 }),
        )
        .map(([whole, at, noise]) => whole.slice(0, at) + noise + whole.slice(at + 1)),
      fc.string().map((inside) => `rbac_access_denied_matched_policy[${inside}]`),
    );
    fc.assert(fc.property(text, check), { numRuns: 5_000 });
    expect(read).toBeGreaterThan(200);
  });

  it('reads what Envoy writes as what it says', () => {
    fc.assert(
      fc.property(line, ({ method, path, peer, enforced, alone, draft }) => {
        const rbac = {
          ...keysOf('tp_enforced', enforced),
          ...keysOf('tp_alone_shadow', alone),
          ...keysOf('tp_draft_shadow', draft),
        };
        const entry = parseAccessLogEntry(
          JSON.stringify({ method, path, peer: peer ?? null, details: null, rbac }),
        );
        expect(entry).toMatchObject({ method, path, isWhole: true });
        expect(entry.peer).toBe(peer);
        expect(entry.enforced).toEqual(enforced);
        expect(entry.alone).toEqual(alone);
        expect(entry.draft).toEqual(draft);
      }),
    );
  });
});

function keysOf(
  prefix: string,
  verdict: { readonly isAllowed: boolean; readonly name: string } | undefined,
): object {
  if (verdict === undefined) return {};
  return {
    [`${prefix}_engine_result`]: verdict.isAllowed ? 'allowed' : 'denied',
    [`${prefix}_effective_policy_id`]: verdict.name,
  };
}
