import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rbacTerms as termsOfFacts } from '../../src/app/rbac-terms.ts';
import {
  type CertificateShapes,
  makeCertificateShapes,
} from '../differential/certificate-shapes.ts';
import { launchOnePolicy } from '../differential/launch-one-policy.ts';
import type { PolicyDocument } from '../differential/policy-document.ts';
import { domains } from '../differential/random-policies.ts';
import { RawClient } from '../differential/raw-client.ts';
import { judges, type RbacEnvoy } from '../differential/rbac-envoy.ts';
import { rbacTerms } from '../differential/rbac-facts.ts';
import { makeCertificate, type TestCertificateOptions } from '../fakes/test-certificates.ts';

const WEB = `spiffe://${domains.own}/ns/shop/sa/web`;
const own = (path: string): string => `spiffe://${domains.own}${path}`;

const policy: PolicyDocument = {
  metadata: { name: 'p' },
  service: { contextExtension: 'c' },
  rules: [
    { id: 'auth', from: 'authenticated', allow: ['GET /auth'] },
    { id: 'own', from: [own('/**')], allow: ['GET /own'] },
    { id: 'any', from: 'anyone', allow: ['GET /any'] },
    { id: 'not', from: [own('/ns/cart/**')], deny: ['/any'] },
  ],
};

const shapesToTry: Readonly<Record<string, TestCertificateOptions>> = {
  plain: { uris: [WEB] },
  'upper scheme': { uris: [WEB.replace('spiffe', 'SPIFFE')] },
  'upper domain': { uris: [WEB.replace('prod', 'PROD')] },
  'upper path': { uris: [own('/NS/Shop')] },
  'other scheme': { uris: [`xspiffe://${domains.own}/a`] },
  'id 2048': { uris: [own(`/${'a'.repeat(2_048 - own('/').length)}`)] },
  'id 2049': { uris: [own(`/${'a'.repeat(2_049 - own('/').length)}`)] },
  'trailing slash': { uris: [own('/a/')] },
  'double slash': { uris: [own('/a//b')] },
  dots: { uris: [own('/a/../b')] },
  'three dots': { uris: [own('/...')] },
  percent: { uris: [own('/a%2fb')] },
  port: { uris: [`spiffe://${domains.own}:443/a`] },
  user: { uris: [`spiffe://x@${domains.own}/a`] },
  query: { uris: [own('/a?x')] },
  fragment: { uris: [own('/a#x')] },
  comma: { uris: [`${WEB},${WEB}`] },
  'comma in the end': { uris: [`${WEB},`] },
  newline: { uris: [`${WEB}\n`] },
  nul: { uris: [`${WEB}\0`] },
  empty: { uris: [''] },
  'empty and good': { uris: ['', WEB] },
  'good and empty': { uris: [WEB, ''] },
  'same twice': { uris: [WEB, WEB] },
  'no domain': { uris: ['spiffe:///a'] },
  'domain with slash': { uris: [own('/')] },
  'own prefix': { uris: [`spiffe://${domains.own}.evil.example/a`] },
  'with dns': { uris: [WEB], dns: ['web.example'] },
  'dns that looks like it': { uris: [], dns: [WEB] },
  'partner in scope': { uris: [`spiffe://${domains.federated}/ns/a`] },
  'partner out of scope': { uris: [`spiffe://${domains.federated}/other`] },
  'partner beside scope': { uris: [`spiffe://${domains.federated}/nsx`] },
  'partner scope itself': { uris: [`spiffe://${domains.federated}/ns`] },
  unknown: { uris: [`spiffe://${domains.unknown}/a`] },
  cart: { uris: [own('/ns/cart/a')] },
  'cart itself': { uris: [own('/ns/cart')] },
  'serial with zeros': { uris: [WEB], serialNumber: '00a1' },
};
const serials = [
  '01',
  '0a',
  'a1',
  '00f1',
  '7fff',
  '80',
  '0102',
  `0${'1'.repeat(31)}`,
  'ab'.repeat(20),
];
/** What X509-SVID asks of a leaf besides its ID, and Envoy does not. */
const unusualShapes: Readonly<Record<string, TestCertificateOptions>> = {
  'no key usage': { uris: [WEB], keyUsage: null },
  'client alone': { uris: [WEB], extendedKeyUsage: ['1.3.6.1.5.5.7.3.2'] },
};

describe('certificates of callers', () => {
  let envoy: RbacEnvoy;
  let port: number;

  beforeAll(async () => {
    const now = Date.now();
    const shapes = await makeCertificateShapes(now);
    const validity = { notBefore: now - 3_600_000, notAfter: now + 3_600_000 };
    const of = new Map(shapes.of);
    for (const [name, options] of Object.entries({ ...shapesToTry, ...unusualShapes }))
      of.set(name, await makeCertificate({ issuer: shapes.authority, ...validity, ...options }));
    for (const serialNumber of serials) {
      const options = { issuer: shapes.authority, ...validity, uris: [WEB], serialNumber };
      of.set(`serial ${serialNumber}`, await makeCertificate(options));
      shapes.revocations.add({ kind: 'serial', value: serialNumber, issuedBefore: now });
    }
    const all: CertificateShapes = { ...shapes, of };
    const { trust, revocations } = shapes;
    const known = {
      trust: trust.current(),
      revocations: revocations.list.map((one, at) => ({ ...one, id: `${at}` })),
    };
    const { revokedSerials } = termsOfFacts(known, {
      claims: { namespace: '', key: '' },
      jwtSvid: undefined,
      xfcc: undefined,
    });
    const terms = { ...rbacTerms(all), revokedSerials };
    ({ envoy, port } = await launchOnePolicy(policy, {}, { shapes: all, terms }));
  });
  afterAll(async () => await envoy[Symbol.asyncDispose]());

  async function outcomes(as: string, path: string) {
    return await Promise.all(
      (['check', 'alone', 'both'] as const).map(async (judge) => {
        const identity = envoy.identityOf(as);
        const options = { host: judges[judge], port, localAddress: '127.0.0.1', identity };
        const client = new RawClient(options);
        const head = `GET ${path} HTTP/1.1\r\nhost: a\r\nx-case: c\r\n\r\n`;
        const status = await client.ask(head).then(
          (answer) => answer.status,
          () => 0,
        );
        client.close();
        return status === 200;
      }),
    );
  }

  it.each([...Object.keys(shapesToTry), 'nobody'])(
    '%s: come to the same as by Check',
    async (as) => {
      for (const path of ['/auth', '/own', '/any']) {
        const [check, alone, both] = await outcomes(as, path);
        expect({ path, alone, both }).toEqual({ path, alone: check, both: check });
      }
    },
  );

  it('that are good are let in, and others are not', async () => {
    expect(await outcomes('plain', '/own')).toEqual([true, true, true]);
    expect(await outcomes('cart', '/any')).toEqual([false, false, false]);
    expect(await outcomes('partner out of scope', '/any')).toEqual([false, false, false]);
  });

  it.each(serials)('serial %s: are refused when it is revoked', async (serial) => {
    const [check, alone] = await outcomes(`serial ${serial}`, '/own');
    expect([check, alone]).toEqual([false, false]);
  });

  it.each(Object.keys(unusualShapes))(
    '%s: Envoy goes by the ID, and leaves to the authorities how its certificate is made',
    async (as) => expect(await outcomes(as, '/own')).toEqual([false, true, true]),
  );
});
