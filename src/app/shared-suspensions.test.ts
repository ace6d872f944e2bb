import { describe, expect, it } from 'vitest';
import { ControlPlaneWorld, type TestServer } from '../../test/fakes/control-plane.ts';
import { settle } from '../../test/fakes/fake-clock.ts';
import { testDraft } from '../../test/fakes/test-entries.ts';
import { SelectorSet, SpiffeId } from '../spiffe/index.ts';
import { createFreshFacts, issuingFresh } from './fresh-facts.ts';

const web = SpiffeId.parse('spiffe://a.test/web');
const said = { kind: 'spiffe-id', value: web.toString(), reason: 'leaked', by: 'uid 0' } as const;
const agentId = SpiffeId.parse(testDraft('web').parentId);

function mayServe({ registry }: TestServer): readonly string[] {
  const reach = registry.authorizedEntries({ agentId, nodeSelectors: SelectorSet.of([]) });
  const ids = reach.all().map(({ spiffeId }) => spiffeId.path);
  reach.close();
  return ids;
}

describe('a suspension', () => {
  it('holds at every server, and is lifted at any', async () => {
    const world = new ControlPlaneWorld();
    const servers = [
      await world.start('one'),
      await world.start('two'),
      await world.start('three'),
    ];
    const [one, , three] = servers;
    await one?.entries.create(testDraft('web'));
    await settle();
    expect(servers.map(mayServe)).toEqual([['/web'], ['/web'], ['/web']]);
    await one?.revocations.suspensions.suspend(said);
    await settle();
    expect(servers.map(mayServe)).toEqual([[], [], []]);
    for (const { revocations, clock } of servers) {
      const subject = { spiffeId: web, issuedAt: clock.now() };
      expect(() => revocations.checkIssuance(subject)).toThrow(
        expect.objectContaining({ code: 'ERR_SVID_SUSPENDED' }),
      );
    }
    await three?.revocations.suspensions.lift(said);
    await settle();
    expect(servers.map(mayServe)).toEqual([['/web'], ['/web'], ['/web']]);
  });

  it('is not issued around by a server that hears of it late, nor lifted unseen', async () => {
    const world = new ControlPlaneWorld();
    const [one, two] = [await world.start('one'), await world.start('two')];
    await one.entries.create(testDraft('web'));
    await settle();
    const asked = { issue: async () => mayServe(two) };
    const facts = createFreshFacts(two.line.store, { ...two, entries: two.registry });
    const issue = () => world.during(issuingFresh(asked, facts).issue(agentId, []));
    two.line.hold();
    await one.revocations.suspensions.suspend(said);
    expect(mayServe(two)).toEqual(['/web']);
    await expect(issue()).rejects.toMatchObject({ code: 'ERR_STORE_BEHIND' });
    two.line.release();
    expect(await issue()).toEqual([]);
    two.line.hold();
    await one.revocations.suspensions.suspend({ ...said, reason: 'again' });
    await expect(world.during(two.revocations.suspensions.lift(said))).rejects.toMatchObject({
      code: 'ERR_SUSPENSION_CONFLICT',
    });
    two.line.release();
    await settle();
    expect(two.revocations.suspensions.list()).toMatchObject([{ reason: 'again' }]);
  });
});
