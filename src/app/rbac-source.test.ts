import { describe, expect, it } from 'vitest';
import { RbacGround } from '../../test/fakes/rbac-ground.ts';
import { testRevocation } from '../../test/fakes/sync-world.ts';
import { SpiffeId } from '../spiffe/index.ts';
import { askForAll } from './ask-for-all.ts';

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

  it('are made for some of the policies that one service names, and for each other one', async () => {
    const ground = new RbacGround();
    ground.policies.set('one');
    const names = Array.from({ length: 1_000 }, (_, at) => `${RBAC}?policy=p${at}`);
    const greedy = await ground.ask({}, ...names);
    const other = await ground.ask(
      { ids: [SpiffeId.parse('spiffe://a.test/other')] },
      names[0] ?? '',
    );
    const plain = await ground.ask({}, RBAC);
    await ground.rest();
    expect(ground.compiler.orders).toHaveLength(66);
    expect(greedy.look().filter((one) => one === 'refused')).toHaveLength(936);
    expect(other.texts()).toEqual(['one,spiffe://a.test/other,nested']);
    expect(plain.texts()).toEqual(['one,spiffe://a.test/api,nested']);
    expect(ground.lines[0]?.fields).toMatchObject({
      fault: 'Envoys that are spiffe://a.test/api name 64 policies, the most allowed at one time',
    });
    greedy.view?.close();
    const later = await ground.ask({}, names[999] ?? '');
    expect(later.texts()).toEqual(['one,spiffe://a.test/api,nested']);
  });

  it('are made for some thousand filters of one service, and for each other one', async () => {
    const ground = new RbacGround();
    ground.policies.set('one');
    const envoys = await Promise.all(
      Array.from({ length: 4_097 }, async (_, pid) => await ground.ask({ pid }, RBAC)),
    );
    expect(envoys.at(-2)?.texts()).toEqual(['one,spiffe://a.test/api,nested']);
    expect(envoys.at(-1)?.look()).toEqual(['refused']);
    const other = await ground.ask({ ids: [SpiffeId.parse('spiffe://a.test/other')] }, RBAC);
    expect(other.texts()).toEqual(['one,spiffe://a.test/other,nested']);
  });

  it('of one service stay below what is kept for it, and leave the last ones', async () => {
    const ground = new RbacGround();
    ground.compiler.bytes = 40 * 1024 * 1024;
    ground.policies.set('one');
    const names = ['a', 'b', 'c', 'd', 'e', 'f'].map((policy) => `${RBAC}?policy=${policy}`);
    const envoy = await ground.ask({}, ...names);
    await ground.rest();
    expect(envoy.look().filter((one) => one === 'pending')).toHaveLength(1);
    expect(ground.lines.at(-1)?.fields).toMatchObject({
      fault: expect.stringContaining('at most 134217728 are kept'),
    });
  });

  it('of one service with many names wait for those of others', async () => {
    const ground = new RbacGround();
    ground.policies.set('one');
    const names = Array.from({ length: 30 }, (_, at) => `${RBAC}?policy=p${at}`);
    await ground.ask({}, ...names);
    await ground.ask({ ids: [SpiffeId.parse('spiffe://a.test/other')] }, RBAC);
    await ground.rest();
    ground.compiler.orders.splice(0);
    ground.policies.set('two');
    await ground.rest();
    const served = ground.compiler.orders.map(({ service }) => service.spiffeId);
    expect(served).toHaveLength(31);
    expect(served.indexOf('spiffe://a.test/other')).toBeLessThan(2);
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

  it('never have Check skipped by older ones: all is asked about', async () => {
    const ground = new RbacGround();
    ground.policies.set('one');
    const name = 'trustplane.rbac-before-check';
    const envoy = await ground.ask({}, name);
    envoy.say();
    ground.compiler.bad.add('two');
    ground.policies.set('two');
    await ground.settle();
    const [fallback] = envoy.look();
    expect(fallback).toEqual(askForAll(name));
    envoy.say();
    await ground.settle();
    expect(ground.told).toMatchObject([{ digest: 'two', fault: 'two is too much' }]);
    ground.policies.set('three');
    await ground.settle();
    expect(envoy.texts()).toEqual(['three,spiffe://a.test/api,nested']);
    envoy.say('bad regex');
    expect(envoy.look()).toEqual([fallback]);
    // Nor when that were refused too.
    envoy.say('whatever');
    expect(envoy.look()).toEqual([fallback]);
    envoy.say();
    await ground.settle();
    expect(ground.told).toMatchObject([
      { digest: 'three', fault: expect.stringContaining('bad regex'), refused: 'hash of three' },
    ]);
    ground.policies.set('four');
    await ground.settle();
    expect(envoy.texts()).toEqual(['four,spiffe://a.test/api,nested']);
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

  it('looks once for the rules of what one process refuses, however often it says so', async () => {
    const ground = new RbacGround();
    ground.policies.set('one');
    const envoys = await Promise.all(
      Array.from({ length: 20 }, async (_, pid) => await ground.ask({ pid }, RBAC)),
    );
    for (let time = 0; time < 50; time++) envoys[0]?.say(`bad regex ${time}`);
    await ground.settle();
    expect(ground.compiler.blamed).toBe(1);
    // All at once: some are not looked into, and are told of all the same.
    for (const envoy of envoys) envoy.say('bad regex');
    await ground.settle();
    expect(ground.compiler.blamed).toBeLessThanOrEqual(5);
    expect(ground.told.filter(({ fault }) => fault?.includes('bad regex'))).toHaveLength(20);
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
