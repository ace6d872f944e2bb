import { describe, expect, it } from 'vitest';
import { textBundle, textIdentity, textUpdate } from '../../test/fakes/test-updates.ts';
import { type Bundle, IdScope, TrustDomain } from '../spiffe/index.ts';
import {
  checkSdsNames,
  defaultSdsNames,
  entitledNames,
  type Meaning,
  resolveName,
} from './names.ts';

const b = textBundle('b.test', ['ca b']);
const c = textBundle('c.test', ['ca c']);
const web = textIdentity('/web', 1, { federatesWith: [TrustDomain.parse('d.test')] });
const db = textIdentity('/db');
const update = textUpdate([web, db], [textBundle('a.test', ['ca a']), c, b]);
const resolve = (name: string, names = defaultSdsNames) => resolveName(name, update, names);
const certificate = (identity: typeof web): Meaning => ({ kind: 'certificate', identity });

const validation = (first: Bundle, ...others: readonly Bundle[]): Meaning => {
  const trust = (bundle: Bundle) => ({ bundle, accept: undefined });
  return { kind: 'validation', domains: [trust(first), ...others.map(trust)] };
};

describe('resolveName', () => {
  it('finds identities and bundles by SPIFFE ID and by alias (SDS-11)', () => {
    expect(resolve('spiffe://a.test/db')).toEqual(certificate(db));
    expect(resolve('default')).toEqual(certificate(web));
    expect(resolve('spiffe://a.test')).toEqual(validation(update.bundle));
    expect(resolve('spiffe://b.test')).toEqual(validation(b));
    expect(resolve('ROOTCA')).toEqual(resolve('spiffe://a.test'));
    expect(resolve('ALL')).toEqual(validation(update.bundle, b, c));
  });

  it('tells which SPIFFE IDs of a trust domain are accepted', () => {
    const accept = [IdScope.parse('spiffe://b.test/payments/**', b.trustDomain)];
    const part = { ...update, accept: new Map([['b.test', accept]]) };
    expect(resolveName('ALL', part, defaultSdsNames)).toMatchObject({
      domains: [{ accept: undefined }, { bundle: b, accept }, { bundle: c, accept: undefined }],
    });
    expect(resolveName('spiffe://b.test', part, defaultSdsNames)).toMatchObject({
      domains: [{ bundle: b, accept }],
    });
  });

  it('takes the first of two identities with one SPIFFE ID', () => {
    const older = textIdentity('/web', 1, { entryId: 'older' });
    const newer = textIdentity('/web', 2, { entryId: 'newer' });
    const found = resolveName('spiffe://a.test/web', textUpdate([older, newer]), defaultSdsNames);
    expect(found).toEqual(certificate(older));
  });

  it('refuses what the caller may not have exactly as what does not exist', () => {
    const names = [
      'spiffe://a.test/other',
      'spiffe://e.test',
      'spiffe://b.test/web',
      'spiffe://A.test',
      'spiffe://a.test/',
      'Default',
      'https://a.test',
      'no name',
      '',
    ];
    expect(names.filter((name) => resolve(name) !== 'refused')).toEqual([]);
  });

  it('waits for a bundle the caller federates with and for an identity of any kind', () => {
    expect(resolve('spiffe://d.test')).toBe('pending');
    const none = textUpdate([]);
    const names = ['default', 'ROOTCA', 'ALL', 'spiffe://a.test'];
    expect(names.map((name) => resolveName(name, none, defaultSdsNames))).toEqual(
      names.map(() => 'pending'),
    );
    expect(entitledNames(none)).toEqual([]);
  });

  it('takes other aliases from the configuration', () => {
    const names = { defaultSvid: 'me', defaultBundle: 'mine', allBundles: 'everyone' };
    expect(resolve('me', names)).toEqual(certificate(web));
    expect(resolve('mine', names)).toEqual(resolve('ROOTCA'));
    expect(resolve('everyone', names)).toEqual(resolve('ALL'));
    expect(resolve('default', names)).toBe('refused');
  });

  it('names everything the caller may have, once each', () => {
    expect(entitledNames(update)).toEqual([
      'spiffe://a.test/web',
      'spiffe://a.test/db',
      'spiffe://a.test',
      'spiffe://b.test',
      'spiffe://c.test',
    ]);
    const twice = textUpdate([web, textIdentity('/web', 2)]);
    expect(entitledNames(twice)).toEqual(['spiffe://a.test/web', 'spiffe://a.test']);
  });
});

describe('checkSdsNames', () => {
  it.each([
    { defaultSvid: 'ALL' },
    { defaultBundle: '' },
    { allBundles: '*' },
    { defaultSvid: 'spiffe://a.test/web' },
  ])('refuses %j', (part) => {
    expect(() => checkSdsNames({ ...defaultSdsNames, ...part })).toThrow(
      expect.objectContaining({ code: 'ERR_SDS_NAMES' }),
    );
  });

  it('takes the defaults', () => {
    expect(() => checkSdsNames(defaultSdsNames)).not.toThrow();
  });
});
