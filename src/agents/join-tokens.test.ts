import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { agentTrustDomain, openTokens } from '../../test/fakes/open-agents.ts';
import { overBucket } from '../../test/fakes/over-bucket.ts';
import { type ErrorCode, SpiffeId } from '../spiffe/index.ts';
import { createMemoryStore, openSqliteStore, type Store } from '../store/index.ts';
import { joinTokenKey } from './join-token-record.ts';

const code = (is: ErrorCode) => expect.objectContaining({ code: is });
const given = 'a-token-of-ours-1';

async function sqliteStore(): Promise<Store> {
  const folder = await mkdtemp(join(tmpdir(), 'trustplane-tokens-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const store = await openSqliteStore({
    path: join(folder, 'store.db'),
    trustDomain: agentTrustDomain,
    clock: new FakeClock(),
  });
  onTestFinished(() => store.close());
  return store;
}

describe('create', () => {
  it('makes tokens of 128 random bits in the form of a UUID', async () => {
    const { tokens, clock } = openTokens();
    const made = await tokens.create({ ttlSeconds: 600 });
    expect(made).toEqual({
      token: '01010101-0101-0101-0101-010101010101',
      expiresAt: clock.now() + 600_000,
      agentId: undefined,
    });
    expect((await tokens.create({ ttlSeconds: 600 })).token).not.toBe(made.token);
  });

  it('stores a hash and never the token', async () => {
    const { tokens, bucket } = openTokens();
    await tokens.create({ ttlSeconds: 600, token: given });
    await tokens.spend(given);
    const { records } = await bucket.list('');
    expect(records).toHaveLength(2);
    for (const { key, value } of records) {
      expect(`${key} ${Buffer.from(value).toString()}`).not.toContain(given);
    }
  });

  it.each([
    [{ ttlSeconds: 0 }, 'ERR_JOIN_TOKEN_TTL'],
    [{ ttlSeconds: -1 }, 'ERR_JOIN_TOKEN_TTL'],
    [{ ttlSeconds: 1.5 }, 'ERR_JOIN_TOKEN_TTL'],
    [{ ttlSeconds: Number.NaN }, 'ERR_JOIN_TOKEN_TTL'],
    [{ ttlSeconds: 31_536_001 }, 'ERR_JOIN_TOKEN_TTL'],
    [{ ttlSeconds: 1, token: '' }, 'ERR_JOIN_TOKEN'],
    [{ ttlSeconds: 1, token: 'only-15-letters' }, 'ERR_JOIN_TOKEN'],
    [{ ttlSeconds: 1, token: 'x'.repeat(256) }, 'ERR_JOIN_TOKEN'],
    [{ ttlSeconds: 1, token: 'with/a/slash-and-more' }, 'ERR_JOIN_TOKEN'],
    [{ ttlSeconds: 1, token: 'with a space and more' }, 'ERR_JOIN_TOKEN'],
    [{ ttlSeconds: 1, agentId: SpiffeId.parse('spiffe://b.test/x') }, 'ERR_JOIN_TOKEN_AGENT_ID'],
    [{ ttlSeconds: 1, agentId: SpiffeId.parse('spiffe://a.test') }, 'ERR_JOIN_TOKEN_AGENT_ID'],
    [
      { ttlSeconds: 1, agentId: SpiffeId.parse('spiffe://a.test/spire/agent/x') },
      'ERR_JOIN_TOKEN_AGENT_ID',
    ],
  ] as const)('refuses %j', async (request, refusal) => {
    const { tokens, bucket } = openTokens();
    await expect(tokens.create(request)).rejects.toEqual(code(refusal));
    expect((await bucket.list('')).records).toEqual([]);
  });

  it('does not repeat a given token in its refusal', async () => {
    const { tokens } = openTokens();
    const secret = 'my secret';
    const refusal: unknown = await tokens
      .create({ ttlSeconds: 1, token: secret })
      .catch((error: unknown) => error);
    expect(String(refusal)).toContain('9 characters');
    expect(String(refusal)).not.toContain(secret);
  });

  it('makes no token twice, spent or not', async () => {
    const { tokens, bucket } = openTokens();
    const create = () => tokens.create({ ttlSeconds: 600, token: given });
    await create();
    await expect(create()).rejects.toEqual(code('ERR_JOIN_TOKEN_EXISTS'));
    await tokens.spend(given);
    await expect(create()).rejects.toEqual(code('ERR_JOIN_TOKEN_EXISTS'));
    await bucket.delete(joinTokenKey(given));
    await expect(create()).rejects.toEqual(code('ERR_JOIN_TOKEN_EXISTS'));
  });
});

describe('spend', () => {
  it('gives the agent ID that the token names', async () => {
    const { tokens } = openTokens();
    const agentId = SpiffeId.parse('spiffe://a.test/node/one');
    await tokens.create({ ttlSeconds: 600, token: given, agentId });
    expect(await tokens.spend(given)).toEqual({ agentId });
  });

  const stores: readonly (readonly [string, () => Promise<Store>])[] = [
    ['memory', async () => createMemoryStore({ clock: new FakeClock() })],
    ['SQLite', sqliteStore],
  ];
  it.each(stores)('lets one of 100 win, over two servers on one %s store (F3)', async (_, open) => {
    const store = await open();
    const clock = new FakeClock();
    const servers = [openTokens({ store, clock }).tokens, openTokens({ store, clock }).tokens];
    await servers[0]?.create({ ttlSeconds: 600, token: given });
    const spends = Array.from({ length: 50 }, () => servers.map((server) => server.spend(given)));
    const outcomes = await Promise.allSettled(spends.flat());
    const lost = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(lost).toHaveLength(99);
    for (const { reason } of lost) expect(reason).toEqual(code('ERR_JOIN_TOKEN_UNUSABLE'));
  });

  it('tells nobody whether a token is unknown, malformed, spent or expired', async () => {
    const { tokens, clock } = openTokens();
    await tokens.create({ ttlSeconds: 600, token: given });
    const expired = await tokens.create({ ttlSeconds: 60 });
    await tokens.spend(given);
    clock.jump(clock.now() + 60_000);
    const refusals = await Promise.all(
      [given, expired.token, 'x'.repeat(20), '', '\0', 'x'.repeat(10_000)].map((token) =>
        tokens.spend(token).catch((error: unknown) => error),
      ),
    );
    for (const refusal of refusals) {
      expect(refusal).toEqual(code('ERR_JOIN_TOKEN_UNUSABLE'));
      expect(refusal).toEqual(refusals[0]);
    }
  });

  it('is good until the very end of the lifetime', async () => {
    const { tokens, clock } = openTokens();
    await tokens.create({ ttlSeconds: 60, token: given });
    clock.jump(clock.now() + 59_999);
    await expect(tokens.spend(given)).resolves.toBeDefined();
  });

  it('holds though the record of the token is restored', async () => {
    const { tokens, bucket, store, clock } = openTokens();
    await tokens.create({ ttlSeconds: 600, token: given });
    const before = await bucket.get(joinTokenKey(given));
    await tokens.spend(given);
    await bucket.put(joinTokenKey(given), before?.value ?? Buffer.of());
    for (const server of [tokens, openTokens({ store, clock }).tokens]) {
      await expect(server.spend(given)).rejects.toEqual(code('ERR_JOIN_TOKEN_UNUSABLE'));
    }
  });

  it('is done when the second mark could not be written', async () => {
    const { store, clock } = openTokens();
    const bucket = overBucket(store.bucket('tokens'), {
      put: (key, value, expected) =>
        key.startsWith('spent.')
          ? Promise.reject(new Error('down'))
          : store.bucket('tokens').put(key, value, expected),
    });
    const { tokens } = openTokens({ store, clock, bucket });
    await tokens.create({ ttlSeconds: 600, token: given });
    await expect(tokens.spend(given)).rejects.toThrow('down');
    await expect(tokens.spend(given)).rejects.toEqual(code('ERR_JOIN_TOKEN_UNUSABLE'));
  });

  it('refuses a damaged record', async () => {
    const { tokens, bucket } = openTokens();
    await bucket.put(joinTokenKey(given), Buffer.from('{"v":2}'));
    await expect(tokens.spend(given)).rejects.toEqual(code('ERR_JOIN_TOKEN_RECORD'));
  });
});

describe('prune', () => {
  it('deletes what has expired, spent or not, and no mark before', async () => {
    const { tokens, bucket, clock } = openTokens();
    await tokens.create({ ttlSeconds: 60 });
    await tokens.create({ ttlSeconds: 600, token: given });
    await tokens.spend(given);
    await bucket.put('damaged', Buffer.from('x'));
    expect(await tokens.prune()).toBe(0);
    clock.jump(clock.now() + 60_000);
    expect(await tokens.prune()).toBe(1);
    await expect(tokens.spend(given)).rejects.toEqual(code('ERR_JOIN_TOKEN_UNUSABLE'));
    clock.jump(clock.now() + 600_000);
    expect(await tokens.prune()).toBe(1);
    expect((await bucket.list('')).records.map(({ key }) => key)).toEqual(['damaged']);
  });

  it('runs every ten minutes, also after a failure, until close', async () => {
    const { store, clock } = openTokens();
    let lists = 0;
    const bucket = overBucket(store.bucket('tokens'), {
      list: async (prefix) => {
        if (++lists === 1) throw new Error('down');
        return store.bucket('tokens').list(prefix);
      },
    });
    const { tokens } = openTokens({ store, clock, bucket });
    await tokens.create({ ttlSeconds: 60 });
    await clock.advanceAsync(600_000);
    await clock.advanceAsync(600_000);
    expect(lists).toBe(2);
    expect((await bucket.list('')).records).toEqual([]);
    await tokens.close();
    await clock.advanceAsync(600_000);
    expect(lists).toBe(3);
  });
});
