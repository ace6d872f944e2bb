import { expect, it } from 'vitest';
import { numberedBundle, testRevocation, testTerms } from '../../test/fakes/sync-world.ts';
import { bundleOf, makeAuthority } from '../../test/fakes/test-certificates.ts';
import type { Revocation, TrustMap } from '../spiffe/index.ts';
import { rbacTerms } from './rbac-terms.ts';

const authority = await makeAuthority();
const callers = {
  claims: { namespace: 'jwt', key: 'payload' },
  jwtSvid: undefined,
  xfcc: undefined,
};
const trust: TrustMap = {
  own: bundleOf('b.test', authority),
  federated: new Map([
    ['a.test', bundleOf('a.test', authority)],
    ['empty.test', numberedBundle('empty.test', 1)],
  ]),
  terms: new Map([['a.test', testTerms('a.test', '/web', '/jobs/**')]]),
};
const revoked = (kind: Revocation['kind'], value: string): Revocation =>
  testRevocation(`${kind} ${value}`, { kind, value });

it('trusts domains that have authorities, within their scopes', () => {
  expect(rbacTerms({ trust, revocations: [] }, callers).trusted).toEqual([
    { trustDomain: 'a.test', accept: ['spiffe://a.test/web', 'spiffe://a.test/jobs/**'] },
    { trustDomain: 'b.test', accept: undefined },
  ]);
});

it('tells revocations as those who answer checks know them', () => {
  const revocations = [
    revoked('serial', '00ABC'),
    revoked('serial', '0f0e'),
    revoked('serial', '00'),
    revoked('spiffe-id', 'spiffe://b.test/z'),
    revoked('spiffe-id', 'spiffe://b.test/a'),
    revoked('entry', 'e'),
    revoked('agent', 'spiffe://b.test/spire/agent/x'),
  ];
  expect(rbacTerms({ trust, revocations }, callers)).toMatchObject({
    revokedIds: ['spiffe://b.test/a', 'spiffe://b.test/z'],
    // As Envoy prints them: whole octets.
    revokedSerials: ['0', '0abc', '0f0e'],
    isBlind: false,
  });
});

it('is blind where more is revoked than an Envoy can be told', () => {
  const revocations = Array.from({ length: 20_001 }, (_, at) =>
    revoked('spiffe-id', `spiffe://b.test/${at}`),
  );
  expect(rbacTerms({ trust, revocations }, callers)).toMatchObject({
    revokedIds: [],
    isBlind: true,
  });
});

it('says where else callers may be named', () => {
  const jwtSvid = { header: 'x-token', audiences: 'destination' } as const;
  const xfcc = { trustedHops: 1, proxies: ['spiffe://b.test/gateway'] };
  expect(rbacTerms({ trust, revocations: [] }, { ...callers, jwtSvid, xfcc })).toMatchObject({
    tokenHeaders: ['x-token'],
    proxies: ['spiffe://b.test/gateway'],
    jwt: { namespace: 'jwt', payloadKey: 'payload' },
  });
});
