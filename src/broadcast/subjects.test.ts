import { expect, it } from 'vitest';
import { TrustDomain } from '../spiffe/index.ts';
import { ackSubject, bundleSubject, relaySubject } from './subjects.ts';

it.each([
  ['a.test', 'a.test'],
  ['a_b-1', 'a_b-1'],
  ['..', '_fyxa'],
  ['.a', '_fzqq'],
  ['a.', '_mexa'],
  ['_fyxa', '_l5ths6db'],
])('the trust domain %s has the subject %s', (name, token) => {
  expect(bundleSubject(TrustDomain.parse(name))).toBe(`trustplane.v1.bundle.${token}`);
});

it('relays and acknowledgements name both trust domains', () => {
  const [a, b] = [TrustDomain.parse('a.test'), TrustDomain.parse('b.test')];
  expect(relaySubject(a, b)).toBe('trustplane.v1.relay.a.test.b.test');
  expect(ackSubject(a, b)).toBe('trustplane.v1.ack.a.test.b.test');
});
