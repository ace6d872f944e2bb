import { expect, it } from 'vitest';
import { FakeTrustMap } from '../../test/fakes/fake-trust-map.ts';
import { foreignBundle } from '../../test/fakes/open-federation.ts';
import { silentLog } from '../ops/index.ts';
import { warnOfSharedKeys } from './warn-of-shared-keys.ts';

it('a bundle whose key stands in another one is pointed out, however it came (BUNDLE-10)', () => {
  const warnings: object[] = [];
  const log = { ...silentLog, warn: (fields: object) => void warnings.push(fields) };
  const own = foreignBundle('a.test', [3]);
  const trust = new FakeTrustMap(own);
  const stop = warnOfSharedKeys(trust, log);
  const [b, c] = [foreignBundle('b.test', [0]), foreignBundle('c.test', [1])];
  trust.set(own, b, c);
  expect(warnings).toEqual([]);
  const d = foreignBundle('d.test', [0]);
  trust.set(own, b, c, d);
  const shared = [expect.objectContaining({ places: ['b.test x509-svid', 'd.test x509-svid'] })];
  expect(warnings).toEqual(shared);
  trust.set(own, b, foreignBundle('c.test', [2]), d);
  trust.setTerms();
  expect(warnings).toEqual(shared);
  trust.set(foreignBundle('a.test', [2]), b, foreignBundle('c.test', [2]), d);
  expect(warnings.at(-1)).toMatchObject({ places: ['a.test x509-svid', 'c.test x509-svid'] });
  stop();
  expect(trust.listeners).toBe(0);
});
