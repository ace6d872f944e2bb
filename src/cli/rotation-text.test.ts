import { expect, it } from 'vitest';
import type { RotationView } from '../client/index.ts';
import { formatRotations } from './rotation-text.ts';

const authority = {
  authorityId: 'ab12',
  slot: 'active',
  notBefore: '2026-01-01T00:00:00Z',
  expiresAt: '2026-01-02T00:00:00Z',
  published: true,
  tainted: false,
  upstreamId: null,
};
const quiet: RotationView = {
  kind: 'x509',
  authorities: [authority],
  nextStep: 'prepare',
  nextStepAt: '2026-01-01T12:00:00Z',
  gate: null,
  alarm: null,
  failure: null,
};

it('says what each slot holds and what is next', () => {
  expect(formatRotations([quiet, { ...quiet, kind: 'jwt' }])).toBe(`X.509 authorities

SLOT    AUTHORITY  VALID UNTIL           BUNDLE
active  ab12       2026-01-02T00:00:00Z  yes

Next step  prepare, by 2026-01-01T12:00:00Z


JWT authorities

SLOT    AUTHORITY  VALID UNTIL           BUNDLE
active  ab12       2026-01-02T00:00:00Z  yes

Next step  prepare, by 2026-01-01T12:00:00Z`);
});

it('names who is behind, and how many more', () => {
  const behind = [{ who: 'spiffe://a.test/spire/agent/x/1', why: 'has not confirmed' }];
  const text = formatRotations([
    {
      ...quiet,
      authorities: [
        { ...authority, tainted: true },
        { ...authority, slot: 'prepared', published: false },
      ],
      nextStep: 'activate',
      gate: { open: false, behind, behindCount: 3, opensAt: '2026-01-01T13:00:00Z' },
      alarm: { authorityId: 'ab12', at: '2026-01-01T11:00:00Z', behind: [], behindCount: 0 },
      failure: 'disk full',
    },
  ]);
  expect(text).toBe(`X.509 authorities

SLOT      AUTHORITY  VALID UNTIL           BUNDLE
active    ab12       2026-01-02T00:00:00Z  tainted
prepared  ab12       2026-01-02T00:00:00Z  no

Next step  activate, by 2026-01-01T12:00:00Z
Gate       closed: waits for 3, until 2026-01-01T13:00:00Z
Alarm      ab12 signs since 2026-01-01T11:00:00Z although 0 did not know it
Failure    disk full

BEHIND                           WHY
spiffe://a.test/spire/agent/x/1  has not confirmed
and 2 more`);
});

it('says that the gate is open', () => {
  const gate = { open: true, behind: [], behindCount: 0, opensAt: null };
  expect(formatRotations([{ ...quiet, gate }])).toContain(
    'Gate       open: everybody knows the prepared authority',
  );
});
