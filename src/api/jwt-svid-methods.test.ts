import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { openFleet } from '../../test/fakes/open-fleet.ts';
import { testDraft } from '../../test/fakes/test-entries.ts';
import { parseJwtSvid, SpiffeId, verifyJwtSvid } from '../spiffe/index.ts';

interface Answer {
  readonly svid: {
    readonly token: string;
    readonly id: { readonly trust_domain: string; readonly path: string };
    readonly issued_at: string;
    readonly expires_at: string;
  };
}

/** A fleet with one agent and an entry `web` below it. */
async function openWith(more: object = {}) {
  const fleet = await openFleet();
  const identity = await fleet.join();
  const draft = { parentId: identity.id, id: 'web', ...more };
  await fleet.entries.create(testDraft('web', undefined, draft));
  const agent = fleet.dial(identity);
  const ask = async (request: object): Promise<Answer> =>
    Object(await agent.call('SVID.NewJWTSVID', request));
  return { ...fleet, identity, agent, ask };
}

const good = { entry_id: 'web', audience: ['db', 'cache'] };

describe('NewJWTSVID', () => {
  it('signs for an entry of the agent, with a key of the bundle (JWT-4, JWT-13)', async () => {
    const { ask, clock, trustMap } = await openWith();
    const { svid } = await ask(good);
    const seconds = Math.floor(clock.now() / 1000);
    expect(svid).toMatchObject({
      id: { trust_domain: 'a.test', path: '/web' },
      issued_at: String(seconds),
      expires_at: String(seconds + 300),
    });
    const read = verifyJwtSvid(svid.token, {
      audience: 'cache',
      bundleOf: () => trustMap.current().own,
      now: clock.now(),
      leewayMs: 0,
    });
    expect(read.spiffeId.toString()).toBe('spiffe://a.test/web');
    expect(Object.fromEntries(read.claims)).toEqual({
      sub: 'spiffe://a.test/web',
      aud: ['db', 'cache'],
      iat: seconds,
      exp: seconds + 300,
    });
  });

  it('takes lifetime and jti from the entry, and ends with it', async () => {
    const { ask, clock, entries } = await openWith({
      jwtSvidTtlSeconds: 60,
      jwtSvidIncludeJti: true,
    });
    const tokens = [(await ask(good)).svid.token, (await ask(good)).svid.token].map(parseJwtSvid);
    const [one, other] = tokens.map(({ claims }) => claims.get('jti'));
    expect(one).toMatch(/^[0-9a-f]{32}$/u);
    expect(other).not.toBe(one);
    expect(tokens[0]?.expiresAt).toBe(clock.now() + 60_000);
    const expiresAtSeconds = Math.floor(clock.now() / 1000) + 20;
    await entries.update('web', { expiresAtSeconds });
    expect((await ask(good)).svid.expires_at).toBe(String(expiresAtSeconds));
  });

  it.each<readonly [string, object, status]>([
    ['of another agent', { ...good, entry_id: 'elsewhere' }, status.PERMISSION_DENIED],
    ['that is not there', { ...good, entry_id: 'no' }, status.PERMISSION_DENIED],
    ['not named', { audience: ['db'] }, status.PERMISSION_DENIED],
    ['without audience', { entry_id: 'web' }, status.INVALID_ARGUMENT],
    ['for an empty audience', { entry_id: 'web', audience: [''] }, status.INVALID_ARGUMENT],
  ])('refuses one for an entry %s', async (_, request, code) => {
    const { ask, entries } = await openWith();
    await entries.create(testDraft('elsewhere', undefined, { id: 'elsewhere' }));
    await expect(ask(request)).rejects.toMatchObject({ code });
    await expect(ask(good)).resolves.toBeDefined();
  });

  it('is for attested agents that are not banned, and for nobody else', async () => {
    const { agents, agent, ask, dial, identity, issueIdentity } = await openWith();
    const admin = await issueIdentity('spiffe://a.test/web');
    for (const client of [dial(), dial(admin)]) {
      await expect(client.call('SVID.NewJWTSVID', good)).rejects.toMatchObject({
        code: status.PERMISSION_DENIED,
      });
    }
    await ask(good);
    await agents.ban(SpiffeId.parse(identity.id));
    await expect(agent.call('SVID.NewJWTSVID', good)).rejects.toMatchObject({
      code: status.PERMISSION_DENIED,
    });
  });
});

describe('MintJWTSVID', () => {
  async function openMint() {
    const fleet = await openWith();
    const draft = { id: 'boss', admin: true };
    await fleet.entries.create(testDraft('boss', undefined, draft));
    const admin = fleet.dial(await fleet.issueIdentity('spiffe://a.test/boss'));
    const mint = async (request: object): Promise<Answer> =>
      Object(await admin.call('SVID.MintJWTSVID', request));
    return { ...fleet, mint };
  }
  const id = { trust_domain: 'a.test', path: '/job' };

  it('signs for any workload of the trust domain', async () => {
    const { mint, clock } = await openMint();
    const { svid } = await mint({ id, audience: ['db'], ttl: 30 });
    expect(svid.id).toEqual(id);
    const read = parseJwtSvid(svid.token);
    expect(read.spiffeId.toString()).toBe('spiffe://a.test/job');
    expect(read.expiresAt).toBe(clock.now() + 30_000);
  });

  it.each<readonly [string, object]>([
    ['without ID', { audience: ['db'] }],
    ['of another trust domain', { id: { ...id, trust_domain: 'b.test' }, audience: ['db'] }],
    ['of a trust domain', { id: { trust_domain: 'a.test' }, audience: ['db'] }],
    ['of the control plane', { id: { ...id, path: '/spire/server' }, audience: ['db'] }],
    ['without audience', { id }],
    ['of a lifetime below 0', { id, audience: ['db'], ttl: -1 }],
  ])('refuses one %s', async (_, request) => {
    const { mint } = await openMint();
    await expect(mint(request)).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
  });

  it('is for administrators only', async () => {
    const { agent, dial } = await openMint();
    for (const client of [agent, dial()]) {
      await expect(client.call('SVID.MintJWTSVID', { id, audience: ['a'] })).rejects.toMatchObject({
        code: status.PERMISSION_DENIED,
      });
    }
  });
});
