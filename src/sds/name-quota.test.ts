import { expect, it } from 'vitest';
import { NameQuota } from './name-quota.ts';
import { initialStreamState, type StreamState } from './stream-state.ts';

const naming = (...names: string[]): StreamState => ({
  ...initialStreamState,
  names: new Set(names),
});
const refusal = expect.objectContaining({ code: 'ERR_SDS_LIMIT' });
const FULL = 131_072;
const full = naming('x'.repeat(FULL));

it('lets one stream have 128 KiB of names and versions', () => {
  const quota = new NameQuota();
  expect(quota.replace(1, 0, full)).toBe(FULL);
  expect(() => quota.replace(1, FULL, naming('x'.repeat(FULL), 'y'))).toThrow(refusal);
  const served = new Map([['b', 'v'.repeat(FULL)]]);
  expect(quota.replace(1, FULL, { ...naming('a'), served })).toBe(1);
  const claiming = { ...naming('a'), served, claimed: new Set(['b']) };
  expect(() => quota.replace(1, 1, claiming)).toThrow(refusal);
});

it('lets one user have 16 MiB on all streams, and others have theirs', () => {
  const quota = new NameQuota();
  for (let count = 0; count < 128; count++) quota.replace(1, 0, full);
  expect(() => quota.replace(1, 0, naming('x'))).toThrow(refusal);
  expect(quota.replace(2, 0, full)).toBe(FULL);
  expect(quota.replace(1, FULL, naming('x'))).toBe(1);
  quota.release(1, 1);
  expect(quota.replace(1, 0, full)).toBe(FULL);
});
