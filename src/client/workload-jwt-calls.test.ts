import { afterEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { FakeEntitlements, fakeEntry } from '../../test/fakes/fake-entitlements.ts';
import { FakeJwtIssuer } from '../../test/fakes/fake-jwt-issuer.ts';
import { FakeTokenSource } from '../../test/fakes/fake-token-source.ts';
import { FakeWorkloadSource } from '../../test/fakes/fake-workload-source.ts';
import { createGate } from '../../test/fakes/gate.ts';
import { serveWorkloadApi } from '../../test/fakes/workload-endpoint.ts';
import { SpiffeId, TrustDomain } from '../spiffe/index.ts';
import type { PeerProcess } from '../wire/index.ts';
import { createWorkloadApiClient } from './workload-api-client.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const web = SpiffeId.parse('spiffe://a.test/web');

async function setUp() {
  const clock = new FakeClock();
  const entries = new FakeEntitlements();
  entries.put(fakeEntry('web'));
  const issuer = new FakeJwtIssuer(clock, TrustDomain.parse('a.test'), (id) => entries.get(id));
  const tokens = new FakeTokenSource<PeerProcess>();
  tokens.trust = { ...tokens.trust, hasIdentity: true, own: issuer.bundle(), federated: new Map() };
  const endpoint = await serveWorkloadApi(new FakeWorkloadSource<PeerProcess>(), { tokens, clock });
  closers.push(() => endpoint.close());
  const address = { kind: 'unix', path: endpoint.path } as const;
  const client = createWorkloadApiClient({ address, clock, random: () => 0.5 });
  closers.push(() => client.close());
  const { token } = await issuer.issue({ entryId: 'web', spiffeId: web, audience: ['db'] });
  const identity = { entryId: 'web', spiffeId: web, hint: 'h', token, expiresAt: 0 };
  return { client, tokens, token, identity };
}

describe('fetchJwt', () => {
  it('gives parsed tokens with their hints', async () => {
    const { client, tokens, token, identity } = await setUp();
    tokens.identities = [identity];
    const [fetched] = await client.fetchJwt(['db'], web, 5_000);
    expect(fetched).toMatchObject({ token, hint: 'h', svid: { audience: ['db'], keyId: 'jwt-0' } });
    expect(tokens.requests[0]?.spiffeId?.toString()).toBe('spiffe://a.test/web');
  });

  it('discards what is no token, or of another identity than it is said to be (WLAPI-5)', async () => {
    const { client, tokens, identity } = await setUp();
    const other = SpiffeId.parse('spiffe://a.test/db');
    for (const bad of [
      { ...identity, token: 'a.b.c' },
      { ...identity, spiffeId: other },
    ]) {
      tokens.identities = [bad];
      await expect(client.fetchJwt(['db'], undefined, 5_000)).rejects.toMatchObject({
        code: 'ERR_CLIENT_RESPONSE',
      });
    }
  });

  it('fails with the code of the server, and when nothing comes in time', async () => {
    const { client, tokens } = await setUp();
    await expect(client.fetchJwt(['db'], undefined, 5_000)).rejects.toMatchObject({
      code: 'ERR_WORKLOAD_NO_IDENTITY',
    });
    tokens.gate = createGate().passed;
    await expect(client.fetchJwt(['db'], undefined, 1)).rejects.toMatchObject({
      code: 'ERR_UNREACHABLE',
    });
  });
});

describe('validateJwt', () => {
  it('tells whose token it is, and its claims as JSON has them (WLAPI-14)', async () => {
    const { client, token } = await setUp();
    expect(await client.validateJwt('db', token, 5_000)).toEqual({
      spiffeId: 'spiffe://a.test/web',
      claims: {
        sub: 'spiffe://a.test/web',
        aud: ['db'],
        exp: expect.any(Number),
        iat: expect.any(Number),
        jti: '1',
      },
    });
    await expect(client.validateJwt('other', token, 5_000)).rejects.toMatchObject({
      code: 'ERR_WORKLOAD_TOKEN',
    });
  });
});
