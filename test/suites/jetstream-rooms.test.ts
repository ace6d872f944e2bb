import { afterAll, beforeAll, beforeEach, expect, it, onTestFinished } from 'vitest';
import { createFreshFacts } from '../../src/app/fresh-facts.ts';
import { createMetrics, silentLog } from '../../src/ops/index.ts';
import { ServerDirectory } from '../../src/servers/index.ts';
import { SpiffeId, TrustDomain, TrustplaneError } from '../../src/spiffe/index.ts';
import type { BucketName, Store } from '../../src/store/index.ts';
import { agentId, attestationOf, openAgents, openTokens } from '../fakes/open-agents.ts';
import { foreignBundle, openFederation } from '../fakes/open-federation.ts';
import { openRegistry } from '../fakes/open-registry.ts';
import { openRevocations } from '../fakes/open-revocations.ts';
import { openTwoStores } from '../fakes/open-two-stores.ts';
import { StampedClock } from '../fakes/stamped-clock.ts';
import { testDraft } from '../fakes/test-entries.ts';
import { eventually } from '../programs/eventually.ts';
import { launchNatsServer, type NatsServer } from '../programs/launch-nats-server.ts';

/** Two servers of one control plane, each with a connection and a store of its own. */
let one: Store;
let two: Store;
let clock: StampedClock;
let server: NatsServer;

beforeAll(async () => {
  server = await launchNatsServer({ jetStream: true });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});
beforeEach(async () => {
  clock = new StampedClock();
  [one, two] = await openTwoStores(server.url, clock);
});

/** Resolves when what follows the bucket on the other server knows all that is in it. */
async function known(
  name: BucketName,
  follower: { catchUp(revision: number): Promise<void> },
): Promise<void> {
  await follower.catchUp((await two.bucket(name).list('-.')).revision);
}

const codesOf = (outcomes: readonly PromiseSettledResult<unknown>[]): readonly string[] =>
  outcomes.map((each) =>
    each.status === 'rejected' && each.reason instanceof TrustplaneError
      ? each.reason.code
      : each.status,
  );

it('entries: one of two that make the same has made it, and both know it', async () => {
  const [first, second] = [await openRegistry({ store: one }), await openRegistry({ store: two })];
  const made = await Promise.all(
    [first, second].map(({ registry }) => registry.create(testDraft('web'))),
  );
  await known('entries', second.registry);
  expect(second.ids()).toHaveLength(1);
  expect(new Set(made.map(({ entry }) => entry.id))).toEqual(new Set(second.ids()));
  const [id = ''] = second.ids();
  await first.registry.delete(id);
  await known('entries', second.registry);
  expect(second.ids()).toEqual([]);
});

it('revocations: the later of both instants holds on both, and for whoever comes later', async () => {
  const [first, second] = [
    await openRevocations({ store: one, clock }),
    await openRevocations({ store: two, clock }),
  ];
  const spiffeId = SpiffeId.parse('spiffe://a.test/web');
  const now = clock.now();
  await Promise.all(
    [first, second].map(({ revocations }, i) =>
      revocations.add({
        kind: 'spiffe-id',
        value: spiffeId.toString(),
        issuedBefore: now + i,
        expiresAt: now + 3_600_000,
        reason: 'for a test',
      }),
    ),
  );
  await known('revocations', second.revocations);
  const third = await openRevocations({ store: one, clock });
  for (const { revocations } of [second, third]) {
    expect(revocations.list()).toHaveLength(1);
    expect(revocations.find({ spiffeId, issuedAt: now })).toBeDefined();
    expect(revocations.find({ spiffeId, issuedAt: now + 1 })).toBeUndefined();
  }
});

it('issuance: what it goes by is known when it was asked for', async () => {
  const [first, second] = [await openRegistry({ store: one }), await openRegistry({ store: two })];
  const { revocations } = await openRevocations({ store: two, clock });
  const facts = createFreshFacts(two, { entries: second.registry, revocations });
  for (let i = 0; i < 20; i++) {
    const { entry } = await first.registry.create(testDraft(`web-${i}`));
    await facts();
    expect(second.registry.get(entry.id)).toEqual(entry);
    await first.registry.delete(entry.id);
    await Promise.all([facts(), facts()]);
    expect(second.registry.get(entry.id)).toBeUndefined();
  }
});

it('tokens: one is spent once, whoever tries', async () => {
  const [first, second] = [openTokens({ store: one, clock }), openTokens({ store: two, clock })];
  const { token } = await first.tokens.create({ ttlSeconds: 600 });
  const tries = Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? first : second));
  const outcomes = await Promise.allSettled(tries.map(({ tokens }) => tokens.spend(token)));
  expect(codesOf(outcomes).filter((code) => code === 'fulfilled')).toHaveLength(1);
});

it('agents: one that is banned on one server is refused on the other at once', async () => {
  const [first, second] = [
    await openAgents({ store: one, clock }),
    await openAgents({ store: two, clock }),
  ];
  const svid = await first.agents.attest(attestationOf('a'), first.issue);
  await second.agents.authorize(agentId('a'), svid);
  await first.agents.ban(agentId('a'));
  await expect(second.agents.authorize(agentId('a'), svid)).rejects.toMatchObject({
    code: 'ERR_AGENT_BANNED',
  });
});

it('federation: one of two makes a relationship, and a bundle goes to both', async () => {
  const [first, second] = [
    await openFederation({ store: one, clock }),
    await openFederation({ store: two, clock }),
  ];
  const b = TrustDomain.parse('b.test');
  const relationship = {
    trustDomain: b,
    bundleEndpointUrl: 'https://b.test/',
    profile: { type: 'https_web' },
    accept: [],
    publisherId: undefined,
    awaitAck: false,
    webCa: undefined,
    source: 'api',
  } as const;
  const outcomes = await Promise.allSettled(
    [first, second].map(({ relationships }) => relationships.create(relationship)),
  );
  expect([...codesOf(outcomes)].sort()).toEqual(['ERR_RELATIONSHIP_EXISTS', 'fulfilled']);
  await first.bundles.set(foreignBundle('b.test'));
  await known('federation', second.bundles);
  expect(second.relationships.get(b)).toMatchObject(relationship);
  expect(second.bundles.get(b)).toBeDefined();
});

it('servers: each knows the other until it ends', async () => {
  const join = async (serverId: string, store: Store): Promise<ServerDirectory> => {
    const directory = await ServerDirectory.join({
      bucket: store.bucket('leases'),
      serverId,
      incarnation: `life of ${serverId}`,
      place: undefined,
      version: '1.0.0',
      clock,
      log: silentLog,
      metrics: createMetrics(),
      onReplaced: () => {},
    });
    onTestFinished(() => directory.close());
    return directory;
  };
  const [first, second] = [await join('one', one), await join('two', two)];
  first.sayAddress('10.0.0.1:8081');
  await eventually('the address is known', () =>
    second.others.some(({ record }) => record?.address === '10.0.0.1:8081'),
  );
  expect([first.isCurrent, second.isCurrent]).toEqual([true, true]);
  await first.close();
  await eventually('it is gone', () => !second.isLive('one'));
});
