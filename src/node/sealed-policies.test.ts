import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type CachePlace, createCachePlace, fakeFacts } from '../../test/fakes/cache-place.ts';
import { testPolicies } from '../../test/fakes/sync-world.ts';
import { systemClock } from '../ops/index.ts';
import { TrustDomain } from '../spiffe/index.ts';
import { openSqliteStore } from '../store/index.ts';
import { ReplicaState } from '../sync/replica-state.ts';

const facts = fakeFacts([]);
const first = testPolicies(1, { 'a.yaml': 'a', 'b.yaml': 'x'.repeat(900_000), 'c.yaml': 'a' });
const second = testPolicies(2, { 'a.yaml': 'A', 'b.yaml': 'x'.repeat(900_000) });

let place: CachePlace;
beforeEach(() => {
  place = createCachePlace();
});
afterEach(() => place.remove());

async function save(...versions: readonly (typeof first)[]): Promise<void> {
  const cache = await place.open();
  await cache.load();
  for (const policies of versions) {
    const all = { ...facts, policies };
    const { digest } = ReplicaState.of(all);
    await cache.saveFacts(all, { epoch: 'e', revision: policies.version, digest });
  }
  await cache.close();
}

async function load() {
  const cache = await place.open();
  const state = await cache.load();
  await cache.close();
  return state;
}

it('keeps the policies, and the position they stand at', async () => {
  await save(first);
  const one = await load();
  expect(one.facts?.policies?.files.map(({ name, sha256 }) => [name, sha256])).toEqual(
    first.files.map(({ name, sha256 }) => [name, sha256]),
  );
  expect(one.position?.digest).toBe(ReplicaState.of({ ...facts, policies: first }).digest);
  await save(second);
  const two = await load();
  expect(two.facts?.policies?.hash).toBe(second.hash);
  expect(two.facts && ReplicaState.of(two.facts).digest).toBe(two.position?.digest);
});

it('has none where a file is damaged, all the rest, and the next update is everything', async () => {
  await save(first);
  const store = await openSqliteStore({
    path: path.join(place.dataDir, 'cache.db'),
    trustDomain: TrustDomain.parse('a.test'),
    clock: systemClock,
  });
  const bucket = store.bucket('agents');
  const name = `item.${Buffer.from(`f:${first.files[0]?.sha256}`).toString('base64url')}`;
  const value = Uint8Array.from((await bucket.get(name))?.value ?? []);
  value[20] = (value[20] ?? 0) ^ 1;
  await bucket.put(name, value);
  await store.close();
  const state = await load();
  expect(state.facts?.policies).toBeUndefined();
  expect(state.facts?.trust.own).toEqual(facts.trust.own);
  expect(state.facts && ReplicaState.of(state.facts).digest).not.toBe(state.position?.digest);
});
