import { expect, it } from 'vitest';
import { foreignBundle, openFederation } from '../../test/fakes/open-federation.ts';
import { plainTerms } from '../federation/index.ts';
import { TrustDomain } from '../spiffe/index.ts';
import { takeBundle } from './take-bundle.ts';

const trustDomain = TrustDomain.parse('b.test');
const relationship = {
  ...plainTerms,
  trustDomain,
  bundleEndpointUrl: 'https://b.test/',
  profile: { type: 'https_web' as const },
};
const bundle = foreignBundle('b.test', [0], { sequenceNumber: 1n });

it('a bundle that was heard is stored while its relationship stands (FED-19)', async () => {
  const { bundles: foreignBundles, relationships } = await openFederation();
  await relationships.create(relationship);
  await takeBundle({ foreignBundles, relationships }, bundle);
  expect(foreignBundles.get(trustDomain)?.sequenceNumber).toBe(1n);
});

it('a bundle that was heard while its relationship ended brings no trust back (FED-19)', async () => {
  const { bundles: foreignBundles, relationships } = await openFederation();
  await expect(takeBundle({ foreignBundles, relationships }, bundle)).rejects.toThrow(
    expect.objectContaining({ code: 'ERR_RELATIONSHIP_NOT_FOUND' }),
  );
  expect(foreignBundles.get(trustDomain)).toBeUndefined();
});
