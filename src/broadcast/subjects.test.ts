import { expect, it } from 'vitest';
import { TrustDomain } from '../spiffe/index.ts';
import { ackSubject, ackSubjects, bundleSubject, relaySubject, relaySubjects } from './subjects.ts';

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
  expect(relaySubject(a, b)).toBe('trustplane.v1.relay.a~test.b.test');
  expect(relaySubjects(a)).toBe('trustplane.v1.relay.a~test.>');
  expect(ackSubject(a, b)).toBe('trustplane.v1.ack.a~test.b.test');
  expect(ackSubjects(b)).toBe('trustplane.v1.ack.*.b.test');
});

it('no two pairs of trust domains share a subject, whose names are each part of the other', () => {
  const names = ['a', 'a.b', 'a.b.c', 'b', 'b.c', 'c', '.', '..', 'a.', '.a', '_fy', 'a._fy', '_'];
  const domains = names.map((name) => TrustDomain.parse(name));
  for (const subjectOf of [relaySubject, ackSubject]) {
    const subjects = domains.flatMap((one) => domains.map((other) => subjectOf(one, other)));
    expect(new Set(subjects).size).toBe(names.length ** 2);
  }
});
