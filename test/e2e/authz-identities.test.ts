import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { emptyBundle, IdScope, TrustDomain } from '../../src/spiffe/index.ts';
import {
  bundleOf,
  makeAuthority,
  type TestCertificate,
  type TestCertificateOptions,
} from '../fakes/test-certificates.ts';
import { policyOf, WEB } from '../fakes/test-policies.ts';
import { makeTokenKey } from '../fakes/test-tokens.ts';
import { type AuthzGround, openAuthzGround, SERVICE } from '../programs/authz-ground.ts';

const HOUR_MS = 3_600_000;
const partner = 'spiffe://partner.example/svc/reporting';
const foreign = TrustDomain.parse('partner.example');
const key = makeTokenKey('k1');

let ground: AuthzGround;
let other: TestCertificate;
beforeAll(async () => {
  other = await makeAuthority({
    uris: ['spiffe://partner.example'],
    notBefore: Date.now() - HOUR_MS,
    notAfter: Date.now() + HOUR_MS,
  });
  ground = await openAuthzGround({
    listeners: [
      { name: 'tls', xfcc: 'SANITIZE' },
      { name: 'joined', xfcc: 'SANITIZE', rawHeaders: false },
      { name: 'plain', xfcc: 'SANITIZE', isPlain: true },
    ],
    jwtSvid: { header: 'authorization', audiences: 'destination' },
  });
});
afterAll(async () => await ground.close());
beforeEach(() => {
  const bundle = bundleOf('prod.example', ground.authority);
  ground.trust.set({ ...bundle, jwtAuthorities: [key.authority] });
  ground.trust.setTerms();
  ground.policies = [policyOf([{ from: [WEB, partner], allow: ['GET /x'] }])];
});

/** Status and reason. */
async function judged(options: TestCertificateOptions): Promise<string> {
  const certificate = await ground.issue(options);
  const { status } = await ground.ask({ listener: 'tls', certificate });
  return `${status} ${ground.records.at(-1)?.decision.reason}`;
}

describe('a certificate that Envoy lets through', () => {
  it('names the caller, where it is an SVID (AUTHZ-3, AUTHZ-4)', async () => {
    expect(await judged({ uris: [WEB] })).toBe('200 allowed_by_rule');
    expect(await judged({ uris: [WEB], dns: ['other.example'] })).toBe('200 allowed_by_rule');
    expect(await judged({ uris: ['spiffe://prod.example/x'] })).toBe('403 no_rule_matched');
  });

  it.each<[string, TestCertificateOptions]>([
    ['two URI SANs', { uris: [WEB, 'spiffe://prod.example/b'] }],
    ['the same URI SAN twice', { uris: [WEB, WEB] }],
    ['an https URI first', { uris: ['https://prod.example/', WEB] }],
    ['an https URI alone', { uris: ['https://prod.example/'] }],
    ['no URI SAN', { uris: [], dns: ['web.prod.example'] }],
    ['no SAN, and an ID as its subject', { uris: [], subject: `CN=${WEB}` }],
    ['an ID as its DNS SAN', { uris: [], dns: [WEB] }],
    ['dot segments', { uris: ['spiffe://prod.example/ns/shop/sa/x/../web'] }],
    ['an escape', { uris: ['spiffe://prod.example/ns/shop/sa/we%62'] }],
    ['an empty segment', { uris: ['spiffe://prod.example/ns//shop'] }],
    ['a final slash', { uris: [`${WEB}/`] }],
    ['a query', { uris: [`${WEB}?a=b`] }],
    ['a port', { uris: ['spiffe://prod.example:443/ns/shop/sa/web'] }],
    ['a trust domain in upper case', { uris: ['spiffe://PROD.example/ns/shop/sa/web'] }],
    ['the ID of its trust domain', { uris: ['spiffe://prod.example'] }],
    ['a CA', { uris: [WEB], isCa: true, keyUsage: ['digitalSignature', 'keyCertSign'] }],
    [
      'the right to sign certificates',
      { uris: [WEB], keyUsage: ['digitalSignature', 'keyCertSign'] },
    ],
    ['no key usage', { uris: [WEB], keyUsage: null }],
    ['an end that has passed', { uris: [WEB], notAfter: Date.now() - 60_000 }],
    ['a beginning to come', { uris: [WEB], notBefore: Date.now() + 600_000 }],
  ])('names nobody with %s (AUTHZ-3, AUTHZ-4)', async (_, options) => {
    expect(await judged(options)).toBe('403 bad_svid');
  });

  it('names nobody of a trust domain that is unknown, out of scope or without authorities', async () => {
    const leaf = { issuer: other, uris: [partner] };
    expect(await judged(leaf)).toBe('403 unknown_trust_domain');
    const { own } = ground.trust.current();
    ground.trust.set(own, bundleOf('partner.example', other));
    expect(await judged(leaf)).toBe('200 allowed_by_rule');
    const accept = [IdScope.parse('spiffe://partner.example/pay/**', foreign)];
    ground.trust.setTerms(['partner.example', { accept, publisherId: undefined }]);
    expect(await judged(leaf)).toBe('403 unknown_trust_domain');
    ground.trust.setTerms();
    ground.trust.set(own, emptyBundle(foreign));
    expect(await judged(leaf)).toBe('403 unknown_trust_domain');
  });

  it('names nobody once its ID or its serial number is revoked', async () => {
    const [id, serialNumber] = ['spiffe://prod.example/ns/shop/sa/gone', '0badcafe'];
    ground.policies = [policyOf([{ from: [id, WEB], allow: ['GET /x'] }])];
    expect(await judged({ uris: [id] })).toBe('200 allowed_by_rule');
    const value = { issuedBefore: Date.now() };
    ground.revocations.add({ kind: 'spiffe-id', value: id, ...value });
    expect(await judged({ uris: [id] })).toBe('403 revoked');
    const single = { uris: [WEB], serialNumber };
    expect(await judged(single)).toBe('200 allowed_by_rule');
    ground.revocations.add({ kind: 'serial', value: serialNumber, ...value });
    expect(await judged(single)).toBe('403 revoked');
    expect(await judged({ uris: [WEB] })).toBe('200 allowed_by_rule');
  });

  it('is missing where there is none: nobody, whatever headers say (AUTHZ-5)', async () => {
    const headers = ['x-forwarded-client-cert', `URI=${WEB}`, 'x-spiffe-id', WEB];
    expect((await ground.ask({ listener: 'tls', headers })).status).toBe(401);
    expect(ground.records.at(-1)?.caller).toBe('unauthenticated');
    // Nor is there a service, where the proxy has no certificate.
    expect((await ground.ask({ listener: 'plain', headers })).status).toBe(403);
    expect(ground.records.at(-1)?.caller).toBe('unauthenticated');
  });
});

describe('a JWT-SVID that Envoy passes on', () => {
  const job = 'spiffe://prod.example/job';
  const now = Math.floor(Date.now() / 1_000);
  const claims = { sub: job, aud: SERVICE, exp: now + 600, iat: now };
  const byToken = { from: { ids: [job], credentials: ['jwt-svid'] }, allow: ['GET /x'] };
  const bearer = (token: string) => ['authorization', `Bearer ${token}`];

  it('names the caller where a rule takes tokens (AUTHZ-16, JWT-12)', async () => {
    const headers = bearer(key.token(claims));
    expect((await ground.ask({ listener: 'tls', headers })).status).toBe(403);
    ground.policies = [policyOf([byToken])];
    for (const listener of ['tls', 'joined'])
      expect((await ground.ask({ listener, headers })).status).toBe(200);
    // Without a certificate of its own the proxy names no service, so the token is for nobody.
    expect((await ground.ask({ listener: 'plain', headers })).status).toBe(403);
    const certificate = await ground.issue({ uris: [job] });
    expect((await ground.ask({ listener: 'tls', certificate })).status).toBe(403);
  });

  it('names both beside a certificate: each rule takes its own (AUTHZ-16)', async () => {
    ground.policies = [
      policyOf([
        { ...byToken, map: { 'x-user': 'source.id' } },
        { allow: ['GET /x'], map: { 'x-peer': 'source.id' } },
      ]),
    ];
    const certificate = await ground.issue({ uris: [WEB] });
    const headers = bearer(key.token(claims));
    const { seen } = await ground.ask({ listener: 'tls', certificate, headers });
    expect(seen?.join(' ')).toContain(`x-peer ${WEB} x-user ${job}`);
    expect(JSON.stringify(ground.records.at(-1)?.decision)).not.toContain('eyJ');
  });

  it('names nobody when it is expired, for another, forged, doubled, or revoked', async () => {
    ground.policies = [policyOf([byToken])];
    const good = key.token(claims);
    const twice = [...bearer(good), ...bearer(good)];
    for (const [headers, reason] of [
      [bearer(key.token({ ...claims, exp: now - 60 })), 'bad_svid'],
      [bearer(key.token({ ...claims, aud: 'spiffe://prod.example/db' })), 'bad_svid'],
      [bearer(makeTokenKey('k1').token(claims)), 'bad_svid'],
      [bearer(key.token({ ...claims, sub: 'spiffe://else.example/job' })), 'unknown_trust_domain'],
      [bearer(`${good.split('.').slice(0, 2).join('.')}.`), 'unauthenticated'],
      [twice, 'bad_svid'],
    ] as const) {
      for (const listener of ['tls', 'joined']) {
        const { status } = await ground.ask({ listener, headers });
        expect([status === 200, ground.records.at(-1)?.decision.reason]).toEqual([false, reason]);
      }
    }
    expect((await ground.ask({ listener: 'tls', headers: bearer(good) })).status).toBe(200);
    ground.revocations.add({ kind: 'spiffe-id', value: job, issuedBefore: now * 1_000 + 1 });
    expect((await ground.ask({ listener: 'tls', headers: bearer(good) })).status).toBe(403);
    expect(ground.records.at(-1)?.decision.reason).toBe('revoked');
  });
});
