import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createThrowawayCa } from '../ca/index.ts';
import { type Bundle, emptyBundle, TrustDomain } from '../spiffe/index.ts';
import { fitNames } from './fit-names.ts';

const certificates = Array.from({ length: 1_000 }, () =>
  createThrowawayCa(Date.now(), randomBytes),
);

function bundleOf(name: string, from: number, count: number): Bundle {
  const x509Authorities = certificates
    .slice(from, from + count)
    .map((certificate) => ({ certificate, tainted: false }));
  return { ...emptyBundle(TrustDomain.parse(name)), x509Authorities };
}

const fit = (...bundles: readonly Bundle[]) => {
  const { held, omitted } = fitNames(bundles.map((bundle) => ({ bundle, accept: undefined })));
  return [held.map(({ bundle }) => bundle.trustDomain.name), omitted];
};

describe('the names of authorities in one validation context', () => {
  const own = bundleOf('own.test', 0, 2);

  it('have room for hundreds of trust domains', () => {
    const others = Array.from({ length: 400 }, (_, at) => bundleOf(`d${at}.test`, 2 * at, 2));
    expect(fit(own, ...others)).toEqual([
      ['own.test', ...others.map(({ trustDomain }) => trustDomain.name)],
      [],
    ]);
  });

  it('leave out the trust domain with the most of them, and no other', () => {
    const [small, large] = [bundleOf('small.test', 2, 5), bundleOf('large.test', 10, 990)];
    expect(fit(own, large, small)).toEqual([['own.test', 'small.test'], ['large.test']]);
    expect(fit(own)).toEqual([['own.test'], []]);
  });

  it('hold the own trust domain, whatever it has', () => {
    const large = bundleOf('own.test', 0, 1_000);
    expect(fit(large, bundleOf('small.test', 2, 5))).toEqual([['own.test'], ['small.test']]);
  });

  it('count a name that several trust domains have once', () => {
    const twins = Array.from({ length: 2_000 }, (_, at) => bundleOf(`d${at}.test`, 0, 1));
    const [held, omitted] = fit(own, ...twins);
    expect([held?.length, omitted]).toEqual([2_001, []]);
  });
});
