import { expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import type { AuthorityControl } from '../ca/index.ts';
import { createMetrics } from '../ops/index.ts';
import { watchRunway } from './watch-authorities.ts';

type Authority = ReturnType<AuthorityControl['status']>['authorities'][number];

it('the runway ends with the last authority that could sign', async () => {
  const clock = new FakeClock();
  const metrics = createMetrics();
  const authority = (state: Authority['state'], leftSeconds: number, isTainted = false) => ({
    authorityId: state,
    state,
    isTainted,
    isPublished: true,
    issuedAt: 0,
    notBefore: 0,
    notAfter: clock.now() + leftSeconds * 1_000,
  });
  let x509: readonly Authority[] = [authority('active', 100)];
  const health = { health: 'ok', canSign: true, failure: undefined, alarm: undefined } as const;
  const next = { nextStep: 'prepare', nextStepAt: 0, gate: undefined } as const;
  const status = (authorities: readonly Authority[]) => ({ ...health, ...next, authorities });
  const kinds = { x509: { status: () => status(x509) }, jwt: { status: () => status([]) } };
  watchRunway(kinds, metrics, clock);
  const runway = async () =>
    [...(await metrics.render()).matchAll(/runway_seconds\{kind="(\w+)"\} (\S+)/gu)].map(
      ([, kind, seconds]) => [kind, Number(seconds)],
    );
  expect(await runway()).toEqual([
    ['x509', 100],
    ['jwt', 0],
  ]);
  x509 = [authority('old', 900), authority('active', 100), authority('prepared', 300)];
  expect((await runway())[0]).toEqual(['x509', 300]);
  x509 = [authority('active', 100, true), authority('prepared', -1)];
  expect((await runway())[0]).toEqual(['x509', 0]);
});
