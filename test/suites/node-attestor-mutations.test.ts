import { expect, it } from 'vitest';
import { TrustplaneError } from '../../src/spiffe/index.ts';
import { findSharedReasons, reasonOf } from './node-attestor-mutations.ts';

const letters = Array.from('abcdefghijklmnopqrst').map((what) => ({
  what,
  reason: `reason ${what}`,
}));

it('has nothing to say of 20 mutations with a reason each, nor of one that shares a reason as said', () => {
  expect(findSharedReasons(letters)).toEqual([]);
  const shared = { what: 'u', reason: 'reason a', sameAs: 'a' };
  expect(findSharedReasons([...letters, shared])).toEqual([]);
});

it('names reasons that are shared, or said to be and are not, and too few of them', () => {
  expect(findSharedReasons([...letters, { what: 'u', reason: 'reason a' }])).toEqual([
    'u: as a: reason a',
  ]);
  expect(findSharedReasons([...letters, { what: 'u', reason: 'other', sameAs: 'a' }])).toEqual([
    'u: not as a',
  ]);
  expect(findSharedReasons(letters.slice(1))).toEqual(['19 reasons; expected at least 20']);
});

it('takes refusals for the same that differ in values alone', () => {
  const refusal = (message: string) => reasonOf(new TrustplaneError('ERR_JSON', message));
  expect(refusal('expected "a\\"b" and 12')).toBe(refusal('expected "c" and 7'));
  expect(refusal('no issuer')).not.toBe(refusal('no audience'));
});
