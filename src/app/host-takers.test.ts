import { expect, it } from 'vitest';
import type { PolicyTaker } from '../spiffe/index.ts';
import { HostTakers } from './host-takers.ts';

const takerOf = (name: string, digest?: string): PolicyTaker => ({
  name,
  hash: digest,
  digest,
  since: 1,
  fault: undefined,
  refused: undefined,
});

it('tells of the own process, of programs that go by delivered policies, and of Envoys', () => {
  let told: readonly PolicyTaker[] = [];
  const takers = new HostTakers((all) => void (told = all));
  takers.setOwn(takerOf('rbac', 'a'));
  takers.setEnvoys([takerOf('envoy one'), takerOf('envoy two', 'a')]);
  takers.setOthers([
    { ...takerOf('authz', 'a'), version: '1' },
    { ...takerOf('of its own', 'a'), hash: undefined, version: '1' },
  ]);
  expect(told.map(({ name }) => name)).toEqual(['rbac', 'authz', 'envoy one', 'envoy two']);
  takers.setEnvoys([]);
  expect(told.map(({ name }) => name)).toEqual(['rbac', 'authz']);
});
