import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { FakeRevocations } from '../../test/fakes/fake-revocations.ts';
import { FakeTrustMap } from '../../test/fakes/fake-trust-map.ts';
import {
  bundleOf,
  makeAuthority,
  makeCertificate,
  type TestCertificate,
  testNow,
} from '../../test/fakes/test-certificates.ts';
import { makeTokenKey } from '../../test/fakes/test-tokens.ts';
import { encodePem, SpiffeId } from '../spiffe/index.ts';
import { CallerReader, type CallerReaderOptions, type Callers } from './caller-reader.ts';
import { type CheckRequest, HttpAttributes } from './check-request.ts';
import { ProtoCursor } from './proto-cursor.ts';
import { writeField } from './proto-writer.ts';

const id = (name: string) => `spiffe://prod.example/${name}`;
const key = makeTokenKey('k1');
let authority: TestCertificate;
const certificates = new Map<string, string>();
beforeAll(async () => {
  authority = await makeAuthority({ uris: ['spiffe://prod.example'] });
  for (const name of ['gateway', 'edge', 'web', 'old']) {
    const expired = name === 'old' ? { notAfter: testNow - 2_000 } : {};
    const made = await makeCertificate({ issuer: authority, uris: [id(name)], ...expired });
    certificates.set(name, encodeURIComponent(encodePem('CERTIFICATE', made.der)));
  }
});

let trust: FakeTrustMap;
let revocations: FakeRevocations;
beforeEach(() => {
  const bundle = { ...bundleOf('prod.example', authority), jwtAuthorities: [key.authority] };
  trust = new FakeTrustMap(bundle);
  revocations = new FakeRevocations();
});

interface Asked extends Partial<CallerReaderOptions> {
  /** Whose certificate the connection has. */
  readonly peer?: string;
  readonly xfccLines?: readonly string[];
  readonly token?: string;
}

function ask({ peer, xfccLines = [], token, ...options }: Asked): Callers {
  const reader = new CallerReader({
    trust: () => trust.current(),
    findRevocation: (subject) => revocations.find(subject),
    needsCertificate: true,
    clock: new FakeClock(testNow),
    ...options,
  });
  return reader.callersOf(
    requestOf(peer, [
      ...xfccLines.map((line) => ['x-forwarded-client-cert', line] as const),
      ...(token === undefined ? [] : [['authorization', `Bearer ${token}`] as const]),
    ]),
  );
}

function requestOf(
  peer: string | undefined,
  headers: readonly (readonly [string, string])[],
): CheckRequest {
  const entries = headers.map(([name, value]) =>
    writeField(1, [writeField(1, name), writeField(3, value)]),
  );
  const nobody = { ip: '10.0.0.1', port: 1, principal: undefined, certificate: undefined };
  return {
    source: {
      ...nobody,
      principal: peer === undefined ? undefined : id(peer),
      certificate: peer === undefined ? undefined : certificates.get(peer),
    },
    destination: { ...nobody, principal: id('api') },
    http: new HttpAttributes(new ProtoCursor(writeField(13, entries))),
    contextExtensions: new Map(),
    metadata: new Map(),
  };
}

describe('a caller behind proxies', () => {
  const xfcc = { trustedHops: 1, proxies: [id('gateway'), id('edge')] };
  const behind = (...xfccLines: readonly string[]) =>
    ask({ peer: 'gateway', xfcc, xfccLines }).caller.toString();

  it('is whom the last element names, whatever stands before (AUTHZ-5)', () => {
    expect(behind(`URI=${id('web')}`)).toBe(id('web'));
    expect(behind(`URI=${id('root')},By=${id('gateway')};Hash=0;Subject="";URI=${id('web')}`)).toBe(
      id('web'),
    );
  });

  it('is who connects where that is no listed proxy, or none is listed (AUTHZ-5)', () => {
    const xfccLines = [`URI=${id('root')}`];
    expect(ask({ peer: 'web', xfcc, xfccLines }).caller.toString()).toBe(id('web'));
    expect(ask({ peer: 'gateway', xfccLines }).caller.toString()).toBe(id('gateway'));
    expect(ask({ xfcc, xfccLines }).caller).toBe('unauthenticated');
    expect(ask({ peer: 'old', xfcc, xfccLines }).caller).toBe('bad_svid');
  });

  it('is nobody without the header: never the proxy', () => {
    expect(behind()).toBe('unauthenticated');
    expect(behind('')).toBe('unauthenticated');
  });

  it.each([
    ['no URI', 'By=a;Hash=0'],
    ['two URIs', `URI=${id('web')};URI=${id('web')}`],
    ['an empty one', 'URI='],
    ['what is no SPIFFE ID', 'URI=https://prod.example/web'],
    ['the ID of a trust domain', 'URI=spiffe://prod.example'],
    ['an invalid path', `URI=${id('a/../b')}`],
    ['what cannot be read', `URI=${id('web')};Subject="`],
    ['a certificate that is none', `URI=${id('web')};Cert="x"`],
  ])('is nobody with %s', (_, line) => {
    expect(behind(line)).toBe('bad_svid');
  });

  it('is nobody with two lines', () => {
    expect(behind(`URI=${id('web')}`, `URI=${id('web')}`)).toBe('bad_svid');
  });

  it('has the certificate that is forwarded, where it is', () => {
    const cert = (name: string) => `Cert="${certificates.get(name)}"`;
    expect(behind(`${cert('web')};URI=${id('web')}`)).toBe(id('web'));
    expect(behind(`${cert('edge')};URI=${id('web')}`)).toBe('bad_svid');
    expect(behind(`${cert('old')};URI=${id('old')}`)).toBe('bad_svid');
    revocations.add({ kind: 'spiffe-id', value: id('web'), issuedBefore: testNow - 7_200_000 });
    expect(behind(`${cert('web')};URI=${id('web')}`)).toBe(id('web'));
    // How old it is cannot be told without it.
    expect(behind(`URI=${id('web')}`)).toBe('revoked');
  });

  it('is the n-th from the right, each before it a listed proxy', () => {
    const two = { trustedHops: 2, proxies: [id('gateway'), id('edge')] };
    const asked = (line: string) =>
      ask({ peer: 'gateway', xfcc: two, xfccLines: [line] }).caller.toString();
    expect(asked(`URI=${id('x')},URI=${id('web')},URI=${id('edge')}`)).toBe(id('web'));
    expect(asked(`URI=${id('web')},URI=${id('other')}`)).toBe('bad_svid');
    expect(asked(`URI=${id('web')}`)).toBe('bad_svid');
  });

  it('is judged like any other', () => {
    expect(behind('URI=spiffe://other.example/web')).toBe('unknown_trust_domain');
    revocations.revokeId(SpiffeId.parse(id('gateway')), testNow);
    expect(behind(`URI=${id('web')}`)).toBe('revoked');
  });
});

describe('a caller with a token', () => {
  const jwtSvid = { header: 'authorization', audiences: 'destination' as const };
  const claims = { sub: id('job'), aud: id('api'), exp: testNow / 1000 + 60, iat: testNow / 1000 };

  it('has it as its credential, or beside its certificate (AUTHZ-16)', () => {
    const token = key.token(claims);
    expect(ask({ token }).caller).toBe('unauthenticated');
    const alone = ask({ token, jwtSvid });
    expect([alone.credential, alone.tokenCaller]).toEqual(['jwt-svid', undefined]);
    expect(alone.caller.toString()).toBe(id('job'));
    const both = ask({ token, jwtSvid, peer: 'web' });
    expect(both.credential).toBe('x509-svid');
    expect([both.caller, both.tokenCaller].join(' ')).toBe(`${id('web')} ${id('job')}`);
  });

  it('is refused with a bad one alone; beside a certificate that says nothing', () => {
    const token = key.token({ ...claims, aud: 'x' });
    expect(ask({ token, jwtSvid }).caller).toBe('bad_svid');
    const both = ask({ token, jwtSvid, peer: 'web' });
    expect(both.tokenCaller).toBeUndefined();
    expect(both.caller.toString()).toBe(id('web'));
    expect(ask({ token: key.token(claims), jwtSvid, peer: 'old' }).caller).toBe('bad_svid');
    expect(ask({ token: 'opaque', jwtSvid }).caller).toBe('unauthenticated');
  });

  it('may be bound to the peers that carry tokens (AUTHZ-16)', () => {
    const bound = { ...jwtSvid, peers: [id('gateway')] };
    const token = key.token(claims);
    expect(ask({ token, jwtSvid: bound }).caller).toBe('unauthenticated');
    expect(ask({ token, jwtSvid: bound, peer: 'web' }).tokenCaller).toBeUndefined();
    expect(ask({ token, jwtSvid: bound, peer: 'gateway' }).tokenCaller?.toString()).toBe(id('job'));
  });
});
