import { status } from '@grpc/grpc-js';
import { exportSPKI, generateKeyPair, importJWK, jwtVerify, SignJWT } from 'jose';
import { afterEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { FakeEntitlements, fakeEntry } from '../../test/fakes/fake-entitlements.ts';
import { FakeJwtIssuer } from '../../test/fakes/fake-jwt-issuer.ts';
import { FakeTokenSource } from '../../test/fakes/fake-token-source.ts';
import { FakeWorkloadSource } from '../../test/fakes/fake-workload-source.ts';
import { createGate } from '../../test/fakes/gate.ts';
import { textBundle, textIdentity, textUpdate } from '../../test/fakes/test-updates.ts';
import {
  callUnary,
  fetchStream,
  serveWorkloadApi,
  type WorkloadEndpoint,
} from '../../test/fakes/workload-endpoint.ts';
import { emptyBundle } from '../spiffe/bundle.ts';
import { decodePem, SpiffeId, TrustDomain, type WorkloadTrust } from '../spiffe/index.ts';
import { messageType, type PeerProcess } from '../wire/index.ts';
import type { WorkloadApiOptions } from './workload-api.ts';

const endpoints: WorkloadEndpoint[] = [];
afterEach(async () => {
  await Promise.all(endpoints.splice(0).map((endpoint) => endpoint.close()));
});

async function serve(options: Partial<WorkloadApiOptions> = {}) {
  const tokens = new FakeTokenSource<PeerProcess>();
  const source = new FakeWorkloadSource<PeerProcess>(textUpdate([textIdentity('/web')]));
  const endpoint = await serveWorkloadApi(source, { tokens, ...options });
  endpoints.push(endpoint);
  return { tokens, source, ...endpoint };
}

const identity = {
  entryId: 'web',
  spiffeId: SpiffeId.parse('spiffe://a.test/web'),
  hint: 'internal',
  token: 'header.payload.signature',
  expiresAt: 0,
};

describe('FetchJWTSVID', () => {
  it('gives a token for each identity, with its hint (WLAPI-12)', async () => {
    const { client, tokens } = await serve();
    const db = { ...identity, spiffeId: SpiffeId.parse('spiffe://a.test/db'), hint: '' };
    tokens.identities = [identity, db];
    const { response } = await callUnary(client, 'FetchJWTSVID', { audience: ['a', 'b', 'a'] });
    const svid = 'header.payload.signature';
    expect(response?.['svids']).toEqual([
      { spiffe_id: 'spiffe://a.test/web', svid, hint: 'internal' },
      { spiffe_id: 'spiffe://a.test/db', svid },
    ]);
    expect(tokens.requests).toEqual([{ audience: ['a', 'b'], spiffeId: undefined }]);
  });

  it('asks for the one identity that is asked for (WLAPI-12)', async () => {
    const { client, tokens } = await serve();
    tokens.identities = [identity];
    const request = { audience: ['a'], spiffe_id: 'spiffe://a.test/web' };
    expect(await callUnary(client, 'FetchJWTSVID', request)).toMatchObject({ code: status.OK });
    expect(tokens.requests[0]?.spiffeId?.toString()).toBe('spiffe://a.test/web');
  });

  it('is denied without an identity, and for one the caller is not entitled to (WLAPI-10, WLAPI-12)', async () => {
    const { client } = await serve();
    for (const spiffe_id of ['', 'spiffe://a.test/web', 'spiffe://other.test/web']) {
      const outcome = await callUnary(client, 'FetchJWTSVID', { audience: ['a'], spiffe_id });
      expect(outcome).toMatchObject({ code: status.PERMISSION_DENIED });
    }
  });

  it.each<readonly [string, object]>([
    ['no audience', {}],
    ['an empty one', { audience: [''] }],
    ['one of them empty', { audience: ['a', ''] }],
    ['too many', { audience: Array.from({ length: 100 }, (_, i) => `${i}`) }],
    ['a malformed SPIFFE ID', { audience: ['a'], spiffe_id: 'web' }],
    ['a SPIFFE ID with a port', { audience: ['a'], spiffe_id: 'spiffe://a.test:1/web' }],
  ])('refuses %s as an invalid argument (WLAPI-5, WLAPI-12)', async (_, request) => {
    const { client, tokens } = await serve();
    tokens.identities = [identity];
    const outcome = await callUnary(client, 'FetchJWTSVID', request);
    expect(outcome).toMatchObject({ code: status.INVALID_ARGUMENT });
    expect(tokens.requests).toEqual([]);
  });

  it('takes the question back when the caller leaves', async () => {
    const { client, tokens, metric } = await serve();
    const gate = createGate();
    tokens.gate = gate.passed;
    const left = new AbortController();
    const asked = callUnary(client, 'FetchJWTSVID', { audience: ['a'] }, undefined, left.signal);
    await expect.poll(() => tokens.signals).toHaveLength(1);
    left.abort();
    expect(await asked).toMatchObject({ code: status.CANCELLED });
    await expect.poll(() => tokens.signals[0]?.aborted).toBe(true);
    gate.open();
    const refused = 'ERR_WORKLOAD_NO_IDENTITY';
    const errors = `trustplane_workload_errors_total{method="FetchJWTSVID",code="${refused}"}`;
    await expect.poll(() => metric(errors)).toBe(1);
  });

  it('answers a bounded number of calls of one process at a time', async () => {
    const { client, tokens } = await serve({ maxStreamsPerProcess: 2 });
    const gate = createGate();
    tokens.gate = gate.passed;
    tokens.identities = [identity];
    const ask = () => callUnary(client, 'FetchJWTSVID', { audience: ['a'] });
    const asked = [ask(), ask()];
    await expect.poll(() => tokens.signals).toHaveLength(2);
    expect(await ask()).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    gate.open();
    for (const each of asked) expect(await each).toMatchObject({ code: status.OK });
    expect(await ask()).toMatchObject({ code: status.OK });
  });
});

describe('FetchJWTBundles', () => {
  const clock = new FakeClock();
  const issuerOf = (name: string) =>
    new FakeJwtIssuer(clock, TrustDomain.parse(name), () => undefined);

  async function documentsOf(message: unknown): Promise<Record<string, { keys: object[] }>> {
    const type = messageType('workload.proto', 'JWTBundlesResponse');
    const { bundles } = type.toObject(type.fromObject(Object(message)), { bytes: Buffer });
    return Object.fromEntries(
      Object.entries(bundles ?? {}).map(([id, json]) => [id, JSON.parse(String(json))]),
    );
  }

  it('has the JWT keys of each trust domain, and no others (WLAPI-9, WLAPI-13, WLAPI-15)', async () => {
    const { client, source } = await serve();
    const [a, b] = [issuerOf('a.test').bundle(), issuerOf('b.test').bundle()];
    const own = {
      ...a,
      x509Authorities: textBundle('a.test', ['ca']).x509Authorities,
      witAuthorities: b.jwtAuthorities,
    };
    const bundles = [own, b, emptyBundle(TrustDomain.parse('c.test'))];
    source.publish(textUpdate([textIdentity('/web')], bundles));
    const documents = await documentsOf(await fetchStream(client, 'FetchJWTBundles').next());
    expect(Object.keys(documents)).toEqual([
      'spiffe://a.test',
      'spiffe://b.test',
      'spiffe://c.test',
    ]);
    expect(documents['spiffe://c.test']).toEqual({ keys: [] });
    const keys = documents['spiffe://a.test']?.keys ?? [];
    expect(keys).toEqual([expect.objectContaining({ kty: 'EC', kid: 'jwt-0', crv: 'P-256' })]);
    expect(documents['spiffe://b.test']?.keys).toHaveLength(1);
  });

  it('has keys that verify what the issuer signs', async () => {
    const { client, source } = await serve();
    const entries = new FakeEntitlements();
    entries.put(fakeEntry('web'));
    const issuer = new FakeJwtIssuer(clock, TrustDomain.parse('a.test'), (id) => entries.get(id));
    source.publish(textUpdate([textIdentity('/web')], [issuer.bundle()]));
    const request = { entryId: 'web', spiffeId: identity.spiffeId, audience: ['db'] };
    const { token } = await issuer.issue(request);
    const documents = await documentsOf(await fetchStream(client, 'FetchJWTBundles').next());
    const key = await importJWK(Object(documents['spiffe://a.test']?.keys[0]));
    const { payload } = await jwtVerify(token, key, {
      audience: 'db',
      currentDate: new Date(clock.now()),
    });
    expect(payload.sub).toBe('spiffe://a.test/web');
  });

  it('sends the whole state with each new key, and nothing when certificates change (WLAPI-2)', async () => {
    const { client, source, metric } = await serve();
    const issuer = issuerOf('a.test');
    const first = issuer.bundle();
    source.publish(textUpdate([textIdentity('/web')], [first]));
    const fetching = fetchStream(client, 'FetchJWTBundles');
    await fetching.next();
    source.publish(textUpdate([textIdentity('/web', 2)], [first]));
    issuer.prepareKey();
    source.publish(textUpdate([textIdentity('/web', 2)], [issuer.bundle()]));
    const documents = await documentsOf(await fetching.next());
    expect(documents['spiffe://a.test']?.keys).toHaveLength(2);
    const sent = 'trustplane_workload_responses_total{method="FetchJWTBundles"}';
    expect(await metric(sent)).toBe(2);
  });

  it('is denied to callers without an identity unless verifiers are allowed (WLAPI-10)', async () => {
    const source = new FakeWorkloadSource<PeerProcess>(textUpdate([]));
    const ask = async (allowUnauthenticatedVerifiers: boolean) => {
      const endpoint = await serveWorkloadApi(source, { allowUnauthenticatedVerifiers });
      endpoints.push(endpoint);
      return await fetchStream(endpoint.client, 'FetchJWTBundles').next();
    };
    expect(await ask(false)).toMatchObject({ code: status.PERMISSION_DENIED });
    expect(Object.keys(await documentsOf(await ask(true)))).toEqual(['spiffe://a.test']);
  });
});

describe('ValidateJWTSVID', () => {
  async function world(options: Partial<WorkloadApiOptions> = {}) {
    const clock = new FakeClock();
    const entries = new FakeEntitlements();
    entries.put(fakeEntry('web', { spiffeId: SpiffeId.parse('spiffe://a.test/web') }));
    entries.put(fakeEntry('far', { spiffeId: SpiffeId.parse('spiffe://b.test/far') }));
    const [a, b] = ['a.test', 'b.test'].map(
      (name) => new FakeJwtIssuer(clock, TrustDomain.parse(name), (id) => entries.get(id)),
    );
    if (a === undefined || b === undefined) throw new Error('no issuers');
    const served = await serve({ clock, ...options });
    const federated = new Map([['b.test', b.bundle()]]);
    served.tokens.trust = { ...served.tokens.trust, hasIdentity: true, own: a.bundle(), federated };
    const sign = async (issuer: FakeJwtIssuer, entryId: string) => {
      const spiffeId = SpiffeId.parse('spiffe://a.test/x');
      return (await issuer.issue({ entryId, spiffeId, audience: ['db'] })).token;
    };
    const validate = (svid: string, audience = 'db') =>
      callUnary(served.client, 'ValidateJWTSVID', { audience, svid });
    return { ...served, clock, a, b, sign, validate };
  }

  const fieldsOf = (response: unknown) => {
    const type = messageType('workload.proto', 'ValidateJWTSVIDResponse');
    return type.toObject(type.fromObject(Object(response))).claims.fields;
  };

  it('tells whose token it is, and its claims as a Struct (WLAPI-14)', async () => {
    const { a, sign, validate, clock } = await world();
    const { response } = await validate(await sign(a, 'web'));
    expect(response?.['spiffe_id']).toBe('spiffe://a.test/web');
    const seconds = clock.now() / 1000;
    expect(fieldsOf(response)).toEqual({
      sub: { stringValue: 'spiffe://a.test/web' },
      aud: { listValue: { values: [{ stringValue: 'db' }] } },
      exp: { numberValue: seconds + 300 },
      iat: { numberValue: seconds },
      jti: { stringValue: '1' },
    });
  });

  it('verifies with the bundles that the caller may have (WLAPI-14, JWT-10)', async () => {
    const { a, b, sign, validate, tokens } = await world();
    const token = await sign(b, 'far');
    expect((await validate(token)).response?.['spiffe_id']).toBe('spiffe://b.test/far');
    tokens.trust = { ...tokens.trust, federated: new Map() };
    expect(await validate(token)).toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining('b.test is not trusted'),
    });
    expect(await validate(await sign(a, 'web'))).toMatchObject({ code: status.OK });
  });

  it('refuses a token of an ID that is not among those accepted', async () => {
    const { a, b, sign, validate, tokens } = await world();
    const token = await sign(b, 'far');
    const isAccepted: WorkloadTrust['isAccepted'] = ({ path }) => path !== '/far';
    tokens.trust = { ...tokens.trust, isAccepted };
    expect(await validate(token)).toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining('not among the IDs accepted'),
    });
    expect(await validate(await sign(a, 'web'))).toMatchObject({ code: status.OK });
  });

  it('refuses a bad token, a wrong audience and missing fields as invalid arguments (WLAPI-5, WLAPI-14)', async () => {
    const { a, sign, validate, clock } = await world();
    const token = await sign(a, 'web');
    const bad = [
      [token, 'other'],
      [`${token}A`, 'db'],
      ['no token', 'db'],
      ['', 'db'],
      [token, ''],
      [await sign(a, 'far'), 'db'],
    ] as const;
    for (const [svid, audience] of bad) {
      const outcome = await validate(svid, audience);
      expect([svid, outcome]).toMatchObject([svid, { code: status.INVALID_ARGUMENT }]);
    }
    expect(await validate(token)).toMatchObject({ code: status.OK });
    clock.advance(361_000);
    expect(await validate(token)).toMatchObject({ code: status.INVALID_ARGUMENT });
  });

  it('refuses a token that is older than a revocation of its ID', async () => {
    const { a, sign, validate, tokens, clock } = await world();
    const revokedAt = clock.now() + 1;
    const isRevoked: WorkloadTrust['isRevoked'] = ({ spiffeId, issuedAt = 0 }) =>
      spiffeId.path === '/web' && issuedAt < revokedAt;
    tokens.trust = { ...tokens.trust, isRevoked };
    expect(await validate(await sign(a, 'web'))).toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining('revoked'),
    });
    clock.advance(1_000);
    expect(await validate(await sign(a, 'web'))).toMatchObject({ code: status.OK });
  });

  it('is denied to callers without an identity unless verifiers are allowed', async () => {
    for (const allowUnauthenticatedVerifiers of [false, true]) {
      const { a, sign, validate, tokens } = await world({ allowUnauthenticatedVerifiers });
      tokens.trust = { ...tokens.trust, hasIdentity: false };
      expect(await validate(await sign(a, 'web'))).toMatchObject({
        code: allowUnauthenticatedVerifiers ? status.OK : status.PERMISSION_DENIED,
      });
    }
  });

  it('tells claims of foreign trust domains as far as they are registered or allowed (WLAPI-14)', async () => {
    const { publicKey, privateKey } = await generateKeyPair('ES256');
    const der = decodePem('PUBLIC KEY', await exportSPKI(publicKey))[0] ?? new Uint8Array();
    const key = { keyId: 'k', publicKey: der, expiresAt: undefined, tainted: false };
    const clock = new FakeClock();
    const told = async (name: string, allowedForeignJwtClaims: readonly string[]) => {
      const { validate, tokens } = await world({ clock, allowedForeignJwtClaims });
      const [own, b] = ['a.test', 'b.test'].map((each) => ({
        ...emptyBundle(TrustDomain.parse(each)),
        jwtAuthorities: [key],
      }));
      if (own === undefined || b === undefined) throw new Error('no bundles');
      tokens.trust = {
        ...tokens.trust,
        hasIdentity: true,
        own,
        federated: new Map([['b.test', b]]),
      };
      const more = {
        iss: 'x',
        roles: ['admin', 7, null, true, { deep: {} }],
        __proto: 1,
        zone: 'z',
      };
      const token = await new SignJWT({ sub: `spiffe://${name}/web`, aud: 'db', ...more })
        .setProtectedHeader({ alg: 'ES256', kid: 'k' })
        .setExpirationTime(new Date(clock.now() + 60_000))
        .sign(privateKey);
      return fieldsOf((await validate(token)).response);
    };
    const registered = ['sub', 'aud', 'exp', 'iss'];
    expect(Object.keys(await told('b.test', [])).sort()).toEqual(registered.sort());
    expect(Object.keys(await told('b.test', ['zone'])).sort()).toEqual([...registered, 'zone']);
    expect(await told('a.test', [])).toMatchObject({
      aud: { listValue: { values: [{ stringValue: 'db' }] } },
      zone: { stringValue: 'z' },
      roles: {
        listValue: {
          values: [
            { stringValue: 'admin' },
            { numberValue: 7 },
            { nullValue: 0 },
            { boolValue: true },
            { structValue: { fields: { deep: { structValue: {} } } } },
          ],
        },
      },
    });
  });
});
