import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { fakeEntry } from '../../test/fakes/fake-entitlements.ts';
import { bundleOf, FakeSvidIssuer } from '../../test/fakes/fake-svid-issuer.ts';
import { testTerms } from '../../test/fakes/sync-world.ts';
import { type Bundle, SpiffeId, TrustDomain, type TrustMap } from '../spiffe/index.ts';
import { type IssuedSvid, profileOf } from './issued-svid.ts';
import { buildWorkloadUpdate } from './update-builder.ts';

const clock = new FakeClock();
const now = clock.now();
const issuer = new FakeSvidIssuer(clock, TrustDomain.parse('a.test'), () => undefined);
const own = issuer.bundle();
const trust: TrustMap = { own, federated: new Map(), terms: new Map() };

function authorityOf(bundle: Bundle): string {
  const certificate = bundle.x509Authorities.at(-1)?.certificate ?? new Uint8Array();
  return createHash('sha256').update(certificate).digest('hex');
}

function item(id: string, svid: Partial<IssuedSvid> = {}, fields = {}) {
  const entry = fakeEntry(id, fields);
  const issued: IssuedSvid = {
    spiffeId: entry.spiffeId,
    certificateChain: [Buffer.from(`leaf ${id}`)],
    privateKey: Buffer.from(`key ${id}`),
    serialNumber: '01',
    signedAt: now,
    issuedAt: now,
    notBefore: now,
    expiresAt: now + 1_000,
    profile: profileOf(entry),
    authority: authorityOf(own),
    ...svid,
  };
  return { entry, svid: issued };
}

const paths = (items: Parameters<typeof buildWorkloadUpdate>[0], at = now) =>
  buildWorkloadUpdate(items, trust, at).identities.map(({ spiffeId }) => spiffeId.path);

describe('buildWorkloadUpdate', () => {
  it('never has an expired SVID (SDS-20)', () => {
    const items = [item('a'), item('b', { expiresAt: now + 500 })];
    expect(paths(items, now + 499)).toEqual(['/a', '/b']);
    expect(paths(items, now + 500)).toEqual(['/a']);
    expect(paths(items, now + 1_000)).toEqual([]);
  });

  it('holds back a leaf whose authority is not in the bundle that goes out with it', () => {
    const authority = authorityOf(
      bundleOf(own.trustDomain, [{ certificate: Buffer.from('x'), tainted: false }], 1n),
    );
    expect(paths([item('a', { authority }), item('b')])).toEqual(['/b']);
  });

  it('holds back an SVID that names what the entry no longer names', () => {
    const spiffeId = SpiffeId.parse('spiffe://a.test/before');
    expect(paths([item('a', { spiffeId }), item('b')])).toEqual(['/b']);
  });

  it('keeps a hint with the oldest entry, also while that has no SVID (WLAPI-8)', () => {
    const hint = 'internal';
    const older = { ...item('a', {}, { hint }), svid: undefined };
    const { identities } = buildWorkloadUpdate([older, item('b', {}, { hint })], trust, now);
    expect(identities.map(({ hint }) => hint)).toEqual(['']);
  });

  it('has the same version exactly when it has the same content', () => {
    const foreign = bundleOf(TrustDomain.parse('b.test'), own.x509Authorities, 1n);
    const federatesWith = [foreign.trustDomain];
    const a = item('a', {}, { federatesWith });
    const { entry, svid } = a;
    const build = (items = [a], map = trust) => buildWorkloadUpdate(items, map, now).version;
    const federated = new Map([['b.test', foreign]]);
    const termsOf = (...paths: readonly string[]) =>
      new Map([['b.test', testTerms('b.test', ...paths)]]);
    const variants = [
      build([]),
      build(),
      build([a, item('b')]),
      build([{ entry, svid: { ...svid, certificateChain: [Buffer.from('other leaf')] } }]),
      build([
        { entry, svid: { ...svid, certificateChain: [Buffer.from('leaf '), Buffer.from('a')] } },
      ]),
      build([{ entry: { ...entry, hint: 'x' }, svid }]),
      build([{ entry: { ...entry, federatesWith: [] }, svid }]),
      build([a], { ...trust, federated }),
      build([a], { ...trust, federated, terms: termsOf('/x') }),
      build([a], { ...trust, federated, terms: termsOf('/x/**') }),
      build([a], { ...trust, federated, terms: termsOf('/x', '/y') }),
      build([a], {
        ...trust,
        federated: new Map([['b.test', { ...foreign, sequenceNumber: 2n }]]),
      }),
      build([a], {
        ...trust,
        own: {
          ...own,
          x509Authorities: [
            ...own.x509Authorities,
            { certificate: Buffer.from('x'), tainted: false },
          ],
        },
        federated,
      }),
      build([a], {
        ...trust,
        own: {
          ...own,
          x509Authorities: own.x509Authorities.map((each) => ({ ...each, tainted: true })),
        },
        federated,
      }),
    ];
    expect(new Set(variants).size).toBe(variants.length);
    expect(
      build([{ entry: { ...entry }, svid: { ...svid } }], {
        ...trust,
        own: { ...own },
      }),
    ).toBe(build());
  });
});
