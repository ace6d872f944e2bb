import { describe, expect, it } from 'vitest';
import { RbacGround } from '../../test/fakes/rbac-ground.ts';
import { testRevocation } from '../../test/fakes/sync-world.ts';

const RBAC = 'trustplane.rbac';
const ID = 'spiffe://a.test/gone';

function revocationOf(value: string) {
  return { ...testRevocation(value), kind: 'spiffe-id' as const, value };
}

describe('rules for an Envoy', () => {
  it('are those of its first identity, or of another one of its own', async () => {
    const ground = new RbacGround();
    ground.policies.set('one');
    const envoy = await ground.ask({}, RBAC, `${RBAC}:spiffe://a.test/other`);
    expect(envoy.texts()).toEqual([
      'one,spiffe://a.test/api,nested',
      'one,spiffe://a.test/other,nested',
    ]);
    const other = await ground.ask({}, `${RBAC}:spiffe://a.test/third`);
    expect(other.look()).toEqual(['refused']);
  });

  it.each([
    [[1, 35], 'one,spiffe://a.test/api,nested'],
    [[1, 34], 'one,spiffe://a.test/api,flat-denies'],
    [[1, 33], 'refused'],
    [undefined, 'refused'],
  ] as const)('are laid out for Envoy %j', async (version, expected) => {
    const ground = new RbacGround();
    ground.policies.set('one');
    const envoy = await ground.ask({ version }, RBAC);
    expect(envoy.texts()).toEqual([expected]);
  });

  it('says why an Envoy is given none', async () => {
    const ground = new RbacGround();
    ground.policies.set('one');
    await ground.ask({ version: [1, 20] }, RBAC);
    expect(ground.told).toMatchObject([
      { fault: expect.stringContaining('Envoy 1.20 is too old') },
    ]);
    expect(ground.lines).toMatchObject([{ message: expect.stringContaining('no rules') }]);
    await ground.ask({ version: [1, 20] }, RBAC);
    expect(ground.lines).toHaveLength(1);
  });

  it('are none where no policy is for the service, which is said once', async () => {
    const ground = new RbacGround();
    ground.policies.set('no rules');
    await ground.ask({}, RBAC);
    await ground.ask({ pid: 8 }, RBAC);
    expect(ground.lines).toMatchObject([
      { message: expect.stringContaining('no rule is for its service') },
    ]);
  });

  it('wait for policies, and for all that is to be known of callers', async () => {
    const ground = new RbacGround();
    const envoy = await ground.ask({}, RBAC);
    expect(envoy.look()).toEqual(['pending']);
    expect(envoy.changes).toBe(0);
    ground.policies.set('one');
    await ground.settle();
    expect([envoy.texts(), envoy.changes]).toEqual([['one,spiffe://a.test/api,nested'], 1]);
  });

  it('are sent again only where they are others', async () => {
    const ground = new RbacGround();
    ground.policies.set('one');
    const envoy = await ground.ask({}, RBAC);
    envoy.changes = 0;
    ground.policies.set('one+');
    await ground.settle();
    expect([envoy.changes, ground.compiler.orders.length]).toEqual([0, 2]);
    ground.policies.set('two');
    await ground.settle();
    expect(envoy.changes).toBe(1);
  });

  it('are made once for all who ask for the same, and not for who has gone', async () => {
    const ground = new RbacGround();
    ground.policies.set('one');
    const [first, second] = [
      await ground.ask({ pid: 1 }, RBAC),
      await ground.ask({ pid: 2 }, RBAC),
    ];
    expect(ground.compiler.orders).toHaveLength(1);
    first.view?.close();
    ground.policies.set('two');
    await ground.settle();
    expect([first.changes, ground.compiler.orders.length]).toEqual([1, 2]);
    second.view?.close();
    ground.policies.set('three');
    await ground.settle();
    expect(ground.compiler.orders).toHaveLength(2);
  });

  it('take up the first change at once, and those that follow together', async () => {
    const ground = new RbacGround();
    ground.policies.set('one');
    const envoy = await ground.ask({}, RBAC);
    ground.policies.set('two');
    await ground.settle(0);
    expect(envoy.texts()).toEqual(['two,spiffe://a.test/api,nested']);
    for (const digest of ['three', 'four', 'five']) {
      ground.policies.set(digest);
      await ground.settle(5);
    }
    expect(ground.compiler.orders.map(({ digest }) => digest)).toEqual(['one', 'two']);
    await ground.settle(5);
    expect(ground.compiler.orders.map(({ digest }) => digest)).toEqual(['one', 'two', 'five']);
  });

  it('are used for no longer than is configured', async () => {
    const ground = new RbacGround(60_000);
    ground.policies.set('one');
    const envoy = await ground.ask({}, RBAC);
    expect(envoy.look()).toMatchObject([{ name: RBAC, ttlMs: 60_000 }]);
  });

  it('tell at once who is revoked', async () => {
    const ground = new RbacGround();
    ground.policies.set('one');
    const envoy = await ground.ask({}, RBAC);
    ground.facts.set({ revocations: [revocationOf(ID)] });
    await ground.settle(0);
    expect(envoy.texts()).toEqual([`one,spiffe://a.test/api,nested,${ID}`]);
  });
});

describe('policies that Envoy cannot take', () => {
  it('leave the last ones, and say why', async () => {
    const ground = new RbacGround();
    ground.policies.set('one');
    const envoy = await ground.ask({}, RBAC);
    envoy.say();
    ground.compiler.bad.add('two');
    ground.policies.set('two');
    await ground.settle();
    expect(envoy.texts()).toEqual(['one,spiffe://a.test/api,nested']);
    expect(ground.told).toMatchObject([
      { digest: 'one', fault: 'two is too much', refused: 'hash of two' },
    ]);
    ground.facts.set({ revocations: [revocationOf(ID)] });
    await ground.settle();
    expect(envoy.texts()).toEqual([`one,spiffe://a.test/api,nested,${ID}`]);
    ground.policies.set('three');
    await ground.settle();
    expect(envoy.texts()).toEqual([`three,spiffe://a.test/api,nested,${ID}`]);
  });

  it('allow nobody where those who are revoked cannot be told', async () => {
    const ground = new RbacGround();
    ground.policies.set('one');
    const envoy = await ground.ask({}, RBAC);
    ground.compiler.badIds.add(ID);
    ground.facts.set({ revocations: [revocationOf(ID)] });
    await ground.settle();
    expect(envoy.texts()).toEqual(['one,spiffe://a.test/api,nested,blind']);
  });

  it('are tried once more where a thread has ended', async () => {
    const ground = new RbacGround();
    ground.compiler.dies = true;
    ground.policies.set('one');
    const envoy = await ground.ask({}, RBAC);
    expect(envoy.texts()).toEqual(['one,spiffe://a.test/api,nested']);
    expect(ground.lines).toEqual([]);
  });
});

describe('what Envoys say of their rules', () => {
  it('tells which policies each has in force, those that are behind first', async () => {
    const ground = new RbacGround();
    ground.policies.set('one');
    const first = await ground.ask({ pid: 1 }, RBAC);
    await ground.ask({ pid: 2, nodeId: '' }, RBAC);
    first.say();
    await ground.settle();
    expect(ground.told).toMatchObject([
      { name: 'envoy (pid 2)', digest: undefined, since: undefined },
      { name: 'envoy web (pid 1)', digest: 'one', hash: 'hash of one', fault: undefined },
    ]);
  });

  it('counts the same bytes for what they stand for now', async () => {
    const ground = new RbacGround();
    ground.policies.set('one');
    const envoy = await ground.ask({}, RBAC);
    envoy.say();
    ground.policies.set('one+');
    await ground.settle();
    expect(ground.told).toMatchObject([{ digest: 'one+', hash: 'hash of one+' }]);
  });

  it('is behind while one of several filters is', async () => {
    const ground = new RbacGround();
    ground.policies.set('one');
    const envoy = await ground.ask({}, RBAC, 'trustplane.network-rbac');
    envoy.say();
    await ground.settle();
    expect(ground.told).toMatchObject([{ digest: 'one' }]);
    ground.policies.set('two');
    await ground.settle();
    const [http] = envoy.look();
    if (typeof http === 'object') envoy.view?.onVerdict(RBAC, http.version, undefined);
    await ground.settle();
    expect(ground.told).toMatchObject([{ digest: 'one' }]);
    envoy.say();
    await ground.settle();
    expect(ground.told).toMatchObject([{ digest: 'two' }]);
  });

  it('names the rules of what is refused, once in the log, until it is taken', async () => {
    const ground = new RbacGround();
    ground.policies.set('one');
    const envoy = await ground.ask({}, RBAC);
    envoy.say();
    ground.policies.set('two');
    await ground.settle();
    envoy.say('bad regex');
    await ground.settle();
    envoy.say('bad regex');
    await ground.settle();
    expect(ground.told).toMatchObject([
      {
        digest: 'one',
        hash: 'hash of one',
        fault: 'trustplane.rbac: Envoy refuses p/glob: bad regex',
        refused: 'hash of two',
      },
    ]);
    expect(ground.lines).toMatchObject([{ fields: { rules: ['p/glob'], refusal: 'bad regex' } }]);
    ground.policies.set('three');
    await ground.settle();
    envoy.say();
    await ground.settle();
    expect(ground.told).toMatchObject([{ digest: 'three', fault: undefined, refused: undefined }]);
  });

  it('is forgotten with the Envoy', async () => {
    const ground = new RbacGround();
    ground.policies.set('one');
    const envoy = await ground.ask({}, RBAC);
    envoy.view?.close();
    await ground.settle();
    expect(ground.told).toEqual([]);
  });

  it('is shown in figures', async () => {
    const ground = new RbacGround();
    ground.policies.set('one');
    const envoy = await ground.ask({}, RBAC);
    await ground.settle(5_000);
    let page = await ground.metrics.render();
    expect(page).toContain('trustplane_rbac_envoys_count{state="behind"} 1');
    expect(page).toMatch(/trustplane_rbac_behind_seconds 5/u);
    envoy.say();
    page = await ground.metrics.render();
    expect(page).toContain('trustplane_rbac_envoys_count{state="in-force"} 1');
    expect(page).toContain('trustplane_rbac_behind_seconds 0');
    expect(page).toContain('trustplane_rbac_exports_total{result="ok"} 1');
    expect(page).toContain('trustplane_rbac_rules_count{decided_by="envoy"} 1');
    expect(page).toContain('trustplane_rbac_largest_bytes 30');
  });
});
