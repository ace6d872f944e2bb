import { expect, it } from 'vitest';
import { fakeFacts } from '../../test/fakes/cache-place.ts';
import { testPolicies } from '../../test/fakes/sync-world.ts';
import { TrustDomain } from '../spiffe/index.ts';
import { NodeFacts } from './node-facts.ts';

const facts = fakeFacts([]);
const first = testPolicies(1, { 'a.yaml': 'a' });

it('keeps the policies when a server tells of none', () => {
  const known = new NodeFacts(TrustDomain.parse('a.test'), undefined);
  known.set({ ...facts, policies: first });
  let told = 0;
  known.watchAll(() => told++);
  known.set({ ...facts, policies: undefined });
  expect([known.facts.policies, told]).toEqual([first, 0]);
  known.set({ ...facts, policies: testPolicies(2, {}) });
  expect([known.facts.policies?.version, told]).toEqual([2, 1]);
});

it('has the same object for the same version, and says nothing of it', () => {
  const known = new NodeFacts(TrustDomain.parse('a.test'), { ...facts, policies: first });
  known.set({ ...facts, policies: first });
  let told = 0;
  known.watchAll(() => told++);
  known.set({ ...facts, policies: testPolicies(1, { 'a.yaml': 'a' }) });
  expect(known.facts.policies).toBe(first);
  expect(told).toBe(0);
});
