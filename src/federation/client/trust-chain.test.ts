import { expect, it } from 'vitest';
import { SpiffeId, TrustDomain } from '../../spiffe/index.ts';
import { type FederationRelationship, plainTerms } from '../relationship.ts';
import { trustChainOf } from './trust-chain.ts';

/** What each trust domain's endpoint is believed by: another trust domain, or Web PKI. */
function chainOf(endpoints: Readonly<Record<string, string>>) {
  const relation = (name: string, by: string): FederationRelationship => ({
    ...plainTerms,
    trustDomain: TrustDomain.parse(name),
    bundleEndpointUrl: 'https://x.test/',
    profile:
      by === 'web'
        ? { type: 'https_web' }
        : { type: 'https_spiffe', endpointSpiffeId: SpiffeId.parse(`spiffe://${by}/s`) },
  });
  const all = new Map(Object.entries(endpoints).map(([name, by]) => [name, relation(name, by)]));
  const own = TrustDomain.parse('a.test');
  return trustChainOf(relation('b.test', endpoints['b.test'] ?? ''), own, ({ name }) =>
    all.get(name),
  );
}

it.each([
  [{ 'b.test': 'web' }, ['b.test'], 'web-pki', false],
  [{ 'b.test': 'b.test' }, ['b.test'], 'itself', false],
  [{ 'b.test': 'a.test' }, ['b.test'], 'own', false],
  [{ 'b.test': 'c.test' }, ['b.test', 'c.test'], 'set', false],
  [{ 'b.test': 'c.test', 'c.test': 'web' }, ['b.test', 'c.test'], 'web-pki', false],
  [
    { 'b.test': 'c.test', 'c.test': 'd.test', 'd.test': 'd.test' },
    ['b.test', 'c.test', 'd.test'],
    'itself',
    true,
  ],
  [{ 'b.test': 'c.test', 'c.test': 'b.test' }, ['b.test', 'c.test'], 'cycle', true],
] as const)(
  '%j is the chain %j that ends in %s (FED-18)',
  (endpoints, trustDomains, end, isLong) => {
    expect(chainOf(endpoints)).toEqual({ trustDomains, end, isLong });
  },
);
