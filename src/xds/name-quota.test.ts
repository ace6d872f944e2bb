import { expect, it } from 'vitest';
import { countNameBytes, NameQuota } from './name-quota.ts';
import { initialStreamState } from './stream-state.ts';

const refusal = expect.objectContaining({ code: 'ERR_XDS_LIMIT' });
const FULL = 131_072;

it('lets one stream have 128 KiB of names and versions', () => {
  const quota = new NameQuota('XDS');
  quota.replace(1, 0, FULL);
  expect(() => quota.replace(1, FULL, FULL + 1)).toThrow(refusal);
});

it('lets one user have 16 MiB on all streams, and others have theirs', () => {
  const quota = new NameQuota('XDS');
  for (let count = 0; count < 128; count++) quota.replace(1, 0, FULL);
  expect(() => quota.replace(1, 0, 1)).toThrow(refusal);
  quota.replace(2, 0, FULL);
  quota.replace(1, FULL, 1);
  quota.release(1, 1);
  quota.replace(1, 0, FULL);
  expect(() => quota.replace(1, 0, 1)).toThrow(refusal);
});

it('counts what the client made to be remembered: names, versions it claims, names it let go', () => {
  const named = { ...initialStreamState, names: new Set(['ab', 'c']) };
  expect(countNameBytes(named)).toBe(3);
  const served = new Map([
    ['c', 'its version'],
    ['left', 'another'],
  ]);
  expect(countNameBytes({ ...named, served })).toBe(3 + 'left'.length);
  expect(countNameBytes({ ...named, served, wildcard: 'asked' })).toBe(3);
  const claimed = new Set(['left']);
  expect(countNameBytes({ ...named, served, claimed })).toBe(3 + 'leftanother'.length);
});
