import { describe, expect, it } from 'vitest';
import { foreignBundle } from '../../test/fakes/open-federation.ts';
import { TrustDomain } from '../spiffe/index.ts';
import { decodeBundleRecord, encodeBundleRecord } from './bundle-record.ts';
import { foreignBundleKind } from './foreign-bundle-record.ts';
import { lastingForeignBundles, lastingOwnBundle, raiseOwnBundle } from './lasting-bundles.ts';

const own = TrustDomain.parse('a.test');
const record = (sequence: bigint) =>
  encodeBundleRecord(
    { sequence, refreshHintSeconds: 60, x509Authorities: [], jwtAuthorities: [], revoked: [] },
    own,
  );

describe('of two records of the own bundle', () => {
  const { join } = lastingOwnBundle(own);

  it('the one with the higher sequence number holds', () => {
    expect(join('bundle', record(7n), record(6n))).toEqual(record(7n));
    expect(join('bundle', record(7n), undefined)).toEqual(record(7n));
    expect(join('bundle', record(7n), record(7n))).toBeUndefined();
    expect(join('bundle', record(7n), record(8n))).toBeUndefined();
  });

  it('a restored one is ahead of all before it, within what receivers take (FED-7)', () => {
    const raised = decodeBundleRecord(raiseOwnBundle('bundle', record(7n), own), own).sequence;
    expect(raised > 7n && raised - 7n < 2n ** 32n).toBe(true);
    expect(raiseOwnBundle('x509.local', record(7n), own)).toEqual(record(7n));
  });
});

describe('of two records of a foreign bundle', () => {
  const trustDomain = TrustDomain.parse('b.test');
  const key = foreignBundleKind.keyOf(trustDomain);
  const bundle = (highestSequence: bigint) =>
    foreignBundleKind.encode({ bundle: foreignBundle('b.test'), highestSequence });

  it('the one that accepted the higher sequence number holds (FED-7)', () => {
    const { join } = lastingForeignBundles;
    expect(join(key, bundle(7n), bundle(6n))).toEqual(bundle(7n));
    expect(join(key, bundle(7n), bundle(7n))).toBeUndefined();
    expect(join(key, bundle(7n), undefined)).toBeUndefined();
  });
});
