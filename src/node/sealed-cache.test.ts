import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type CachePlace,
  createCachePlace,
  fakeFacts,
  fakeIdentity,
  fakeKeptSvid,
} from '../../test/fakes/cache-place.ts';
import { fakeEntry } from '../../test/fakes/fake-entitlements.ts';
import { numberedBundle, testTerms } from '../../test/fakes/sync-world.ts';
import { writeCrl } from '../ca/crl-writer.ts';
import { createMemoryKeyManager } from '../ca/index.ts';
import { systemClock } from '../ops/index.ts';
import { type AgentFacts, parseCrl, type Revocation, TrustDomain } from '../spiffe/index.ts';
import { openSqliteStore, type StoreSnapshot } from '../store/index.ts';
import { ReplicaState } from '../sync/replica-state.ts';
import type { SealedCache } from './sealed-cache.ts';

const position = { epoch: 'e1', revision: 7, digest: 'ab'.repeat(32) };
const revocation: Revocation = {
  id: 'r1',
  kind: 'spiffe-id',
  value: 'spiffe://a.test/web',
  issuedBefore: 1_000,
  expiresAt: 2_000,
  reason: 'entry deleted',
};

let place: CachePlace;
beforeEach(() => {
  place = createCachePlace();
});
afterEach(() => place.remove());

async function using<T>(cache: SealedCache, use: (cache: SealedCache) => Promise<T>): Promise<T> {
  try {
    return await use(cache);
  } finally {
    await cache.close();
  }
}

const reload = async () => await using(await place.open(), (cache) => cache.load());

/** Everything there is to keep. */
async function fill() {
  const identity = await fakeIdentity('host');
  const facts = fakeFacts([fakeEntry('web'), fakeEntry('db')], [revocation]);
  const svids = [fakeKeptSvid('db'), fakeKeptSvid('web')];
  await using(await place.open(), async (cache) => {
    await cache.saveIdentity(identity);
    await cache.saveFacts(facts, position);
    for (const svid of svids) await cache.saveSvid(svid.entryId, svid);
  });
  return { identity, facts, svids };
}

/** Changes the records behind the cache's back; returns what there was. */
async function tamper(
  change: (key: string, value: Uint8Array, values: ReadonlyMap<string, Uint8Array>) => Uint8Array,
): Promise<StoreSnapshot> {
  const file = path.join(place.dataDir, 'cache.db');
  const trustDomain = TrustDomain.parse('a.test');
  const store = await openSqliteStore({ path: file, trustDomain, clock: systemClock });
  const bucket = store.bucket('agents');
  const snapshot = await bucket.list('');
  const values = new Map(snapshot.records.map(({ key, value }) => [key, value]));
  for (const { key, value } of snapshot.records) {
    const changed = change(key, value, values);
    if (changed !== value) await bucket.put(key, changed);
  }
  await store.close();
  return snapshot;
}

function federatedFacts(): AgentFacts {
  const facts = fakeFacts([fakeEntry('web')]);
  const names = ['b.test', 'c.test'];
  const federated = new Map(names.map((name) => [name, numberedBundle(name, 1)]));
  const terms = new Map(names.map((name) => [name, testTerms(name, '/payments/**')]));
  return { ...facts, trust: { ...facts.trust, federated, terms } };
}

describe('the cache', () => {
  it('is empty at first', async () => {
    const state = await reload();
    expect(state).toEqual({
      identity: undefined,
      facts: undefined,
      position: undefined,
      svids: [],
      heard: [],
    });
  });

  it('gives back the identity, the facts with their position, and the SVIDs', async () => {
    const { identity, facts, svids } = await fill();
    expect(await reload()).toEqual({ identity, facts, position, svids, heard: [] });
    expect(place.lines).toEqual([]);
  });

  it('gives back CRLs, and forgets one that is gone', async () => {
    const key = await createMemoryKeyManager().generateKey('k', 'ec-p256');
    const issuerName = Uint8Array.of(0x30, 0);
    const signer = { key, issuerName, issuerKeyId: Uint8Array.of(1) };
    const dates = { thisUpdate: 0, nextUpdate: 1_000 };
    const crl = parseCrl(
      await writeCrl(signer, { ...dates, number: 1n, revoked: new Uint8Array() }),
    );
    const facts = fakeFacts([fakeEntry('web')]);
    const told = { ...facts, crls: [crl] };
    await using(await place.open(), (cache) => cache.saveFacts(told, position));
    expect((await reload()).facts?.crls).toEqual([crl]);
    await using(await place.open(), async (cache) => {
      await cache.load();
      await cache.saveFacts(facts, position);
    });
    expect((await reload()).facts?.crls).toBeUndefined();
  });

  it('gives back facts that a server goes on from without sending them again', async () => {
    const entry = fakeEntry('web', { hint: 'h', expiresAt: 5e12, jwtSvidIncludeJti: true });
    const facts = fakeFacts([entry, fakeEntry('db', { dnsNames: ['db.test'] })], [revocation]);
    const { digest } = ReplicaState.of(facts);
    await using(await place.open(), (cache) => cache.saveFacts(facts, { ...position, digest }));
    const state = await reload();
    expect(state.position?.digest).toBe(digest);
    expect(state.facts && ReplicaState.of(state.facts).digest).toBe(digest);
  });

  it('gives back the bundles of federated trust domains with their terms, and forgets them', async () => {
    const facts = federatedFacts();
    const { digest } = ReplicaState.of(facts);
    await using(await place.open(), (cache) => cache.saveFacts(facts, { ...position, digest }));
    const state = await reload();
    expect(state.facts).toEqual(facts);
    expect(state.facts && ReplicaState.of(state.facts).digest).toBe(digest);
    const { own } = facts.trust;
    const alone = { ...facts, trust: { own, federated: new Map(), terms: new Map() } };
    await using(await place.open(), async (cache) => {
      await cache.load();
      await cache.saveFacts(alone, undefined);
    });
    expect((await reload()).facts).toEqual(alone);
  });

  it('gives back bundles that were heard, apart from those that were told, and forgets them', async () => {
    const heard = [numberedBundle('b.test', 9), numberedBundle('a.test', 8)];
    const { facts } = await fill();
    await using(await place.open(), async (cache) => {
      for (const one of heard) await cache.saveHeard(one.trustDomain, one);
    });
    const state = await reload();
    expect(new Set(state.heard)).toEqual(new Set(heard));
    expect(state.facts).toEqual(facts);
    await using(await place.open(), async (cache) => {
      for (const one of heard) await cache.saveHeard(one.trustDomain, undefined);
    });
    expect((await reload()).heard).toEqual([]);
  });

  it('forgets what is not used again', async () => {
    const { facts } = await fill();
    await using(await place.open(), async (cache) => {
      await cache.load();
      await cache.saveSvid('web', undefined);
      await cache.saveFacts({ ...facts, entries: new Map(), revocations: [] }, undefined);
    });
    const state = await reload();
    expect(state.svids.map(({ entryId }) => entryId)).toEqual(['db']);
    expect(state.facts).toEqual({ ...facts, entries: new Map(), revocations: [] });
    expect(state.position).toBeUndefined();
  });

  it('forgets SVIDs that expired a day ago', async () => {
    const svid = fakeKeptSvid('web');
    const old = { ...svid, expiresAt: systemClock.now() - 25 * 3_600_000 };
    await using(await place.open(), async (cache) => {
      await cache.saveSvid('old', old);
      await cache.saveSvid('web', { ...svid, expiresAt: systemClock.now() - 3_600_000 });
    });
    expect((await reload()).svids.map(({ entryId }) => entryId)).toEqual(['web']);
    expect((await tamper((_, value) => value)).records).toHaveLength(2);
    expect(place.lines).toEqual([]);
  });

  it('writes only what has changed', async () => {
    const facts = fakeFacts(Array.from({ length: 50 }, (_, index) => fakeEntry(`w${index}`)));
    await using(await place.open(), (cache) => cache.saveFacts(facts, position));
    const { revision } = await tamper((_, value) => value);
    const entries = new Map(facts.entries);
    const first = entries.get('w0');
    if (first !== undefined) entries.set('w0', { ...first, hint: 'new' });
    entries.delete('w1');
    await using(await place.open(), async (cache) => {
      await cache.load();
      await cache.saveFacts({ ...facts, entries }, { ...position, revision: 8 });
    });
    expect((await tamper((_, value) => value)).revision).toBe(revision + 3);
    expect((await reload()).facts).toEqual({ ...facts, entries });
  });

  it('holds no key and no name in the clear', async () => {
    const { svids } = await fill();
    const bytes = readFileSync(path.join(place.dataDir, 'cache.db'));
    expect(bytes.includes(Buffer.from(svids[0]?.privateKey ?? []))).toBe(false);
    for (const text of ['spiffe://', '/web', 'unix:uid']) expect(bytes.includes(text)).toBe(false);
    expect(statSync(path.join(place.dataDir, 'cache.db')).mode & 0o777).toBe(0o600);
  });

  it('belongs to one process and to one trust domain', async () => {
    await using(await place.open(), async () => {
      await expect(place.open()).rejects.toMatchObject({ code: 'ERR_DATA_DIR_IN_USE' });
    });
    const trustDomain = TrustDomain.parse('b.test');
    await expect(place.open({ trustDomain })).rejects.toMatchObject({
      code: 'ERR_STORE_TRUST_DOMAIN',
    });
  });
});

describe('a value of the cache', () => {
  it.each<[string, (value: Uint8Array) => Uint8Array]>([
    ['changed', (value) => Uint8Array.from([...value.subarray(0, -1), (value.at(-1) ?? 0) ^ 1])],
    ['cut short', (value) => value.subarray(0, 20)],
    ['emptied', () => new Uint8Array()],
  ])('that was %s is named, and dropped for good', async (_, damage) => {
    const { facts } = await fill();
    await tamper((key, value) =>
      key.startsWith('svid.') || key === 'identity' ? damage(value) : value,
    );
    expect(await reload()).toMatchObject({ identity: undefined, svids: [], facts });
    expect(place.lines.filter((line) => line.includes('was dropped'))).toHaveLength(3);
    await reload();
    expect(place.lines).toHaveLength(3);
  });

  it('takes the bundle with it when it was the terms of a trust domain', async () => {
    const facts = federatedFacts();
    await using(await place.open(), (cache) => cache.saveFacts(facts, position));
    const key = `item.${Buffer.from('t:b.test').toString('base64url')}`;
    await tamper((each, value) => (each === key ? new Uint8Array() : value));
    for (const state of [await reload(), await reload()]) {
      expect([...(state.facts?.trust.federated.keys() ?? [])]).toEqual(['c.test']);
      expect([...(state.facts?.trust.terms.keys() ?? [])]).toEqual(['c.test']);
    }
    expect(place.lines.filter((line) => line.includes('was dropped'))).toHaveLength(1);
  });

  it('does not stand for another', async () => {
    await fill();
    await tamper((key, value, values) =>
      key === 'check' ? value : (values.get('check') ?? value),
    );
    expect(await reload()).toEqual({
      identity: undefined,
      facts: undefined,
      position: undefined,
      svids: [],
      heard: [],
    });
    expect(place.lines).toHaveLength(8);
  });
});

it('says that an identity is not durable', async () => {
  const cache = await place.open();
  await cache.close();
  await expect(cache.saveIdentity(await fakeIdentity('host'))).rejects.toThrow('not written');
});

describe('a cache that cannot be read', () => {
  it('because its key is another one is set aside, loudly, and can be had back', async () => {
    const { identity } = await fill();
    const key = readFileSync(place.keyFile);
    writeFileSync(place.keyFile, Buffer.alloc(32, 7));
    expect(await reload()).toMatchObject({ identity: undefined });
    expect(place.lines.join('')).toMatch(/"code":"ERR_CACHE_KEY".*rename .*cache.db.unreadable/);
    writeFileSync(place.keyFile, key);
    const file = path.join(place.dataDir, 'cache.db');
    writeFileSync(file, readFileSync(`${file}.unreadable`));
    expect(await reload()).toMatchObject({ identity });
  });

  it('takes the place of no earlier one, which may be the good one', async () => {
    const { identity } = await fill();
    const key = readFileSync(place.keyFile);
    for (const byte of [7, 8, 9]) {
      writeFileSync(place.keyFile, Buffer.alloc(32, byte));
      expect(await reload()).toMatchObject({ identity: undefined });
    }
    expect(place.lines.at(-1)).toMatch(/rename .*cache.db.unreadable.last to /);
    const aside = readdirSync(place.dataDir).filter((name) => name.includes('.unreadable'));
    expect(aside.sort()).toEqual(['cache.db.unreadable', 'cache.db.unreadable.last']);
    writeFileSync(place.keyFile, key);
    const file = path.join(place.dataDir, 'cache.db');
    writeFileSync(file, readFileSync(`${file}.unreadable`));
    expect(await reload()).toMatchObject({ identity });
  });

  it('because its file is damaged is set aside, loudly', async () => {
    await fill();
    writeFileSync(path.join(place.dataDir, 'cache.db'), 'this is no database, but has some bytes');
    expect(await reload()).toMatchObject({ identity: undefined });
    expect(place.lines.join('')).toMatch(/ERR_STORE_DAMAGED/);
    expect(place.lines.join('')).toMatch(/starting without it/);
  });
});

describe('the key', () => {
  it('is made when missing, for this user alone, and used again', async () => {
    await fill();
    expect(statSync(place.keyFile).mode & 0o777).toBe(0o600);
    expect(statSync(place.keyFile).size).toBe(32);
  });

  it('is the systemd credential where there is one', async () => {
    const credentialsFolder = path.join(place.dataDir, '..', 'credentials');
    mkdirSync(credentialsFolder);
    writeFileSync(path.join(credentialsFolder, 'trustplane-agent-cache-key'), 'k'.repeat(64));
    const identity = await fakeIdentity('host');
    const open = () => place.open({ credentialsFolder, keyFile: '/proc/nowhere/key' });
    await using(await open(), (cache) => cache.saveIdentity(identity));
    expect(await using(await open(), (cache) => cache.load())).toMatchObject({ identity });
  });

  it.each<[string, (place: CachePlace) => string]>([
    [
      'that others may read',
      ({ keyFile }) => {
        mkdirSync(path.dirname(keyFile));
        writeFileSync(keyFile, Buffer.alloc(32));
        chmodSync(keyFile, 0o640);
        return keyFile;
      },
    ],
    ['in the data directory', ({ dataDir }) => path.join(dataDir, 'cache.key')],
    ['in a folder of the data directory', ({ dataDir }) => path.join(dataDir, 'keys', 'cache.key')],
    [
      'in the data directory by a link',
      ({ dataDir }) => {
        symlinkSync(dataDir, `${dataDir}-link`);
        return path.join(`${dataDir}-link`, 'cache.key');
      },
    ],
    [
      'that is too short',
      ({ keyFile }) => {
        mkdirSync(path.dirname(keyFile));
        writeFileSync(keyFile, 'secret', { mode: 0o600 });
        return keyFile;
      },
    ],
    ['that is a directory', ({ dataDir }) => path.dirname(dataDir)],
    [
      'that is a link',
      ({ keyFile, dataDir }) => {
        mkdirSync(path.dirname(keyFile));
        writeFileSync(`${dataDir}.real`, Buffer.alloc(32), { mode: 0o600 });
        symlinkSync(`${dataDir}.real`, keyFile);
        return keyFile;
      },
    ],
  ])('%s is refused', async (_, prepare) => {
    const keyFile = prepare(place);
    await expect(place.open({ keyFile })).rejects.toMatchObject({ code: 'ERR_CACHE_KEY_FILE' });
    await using(await place.open({ keyFile: `${place.dataDir}.key` }), async () => {});
  });

  it('is one key also when two processes make it at once', async () => {
    const other = createCachePlace();
    const { keyFile } = place;
    const caches = await Promise.all([place.open(), other.open({ keyFile })]);
    const identity = await fakeIdentity('host');
    for (const cache of caches) {
      await cache.saveIdentity(identity);
      await cache.close();
    }
    expect(await reload()).toMatchObject({ identity });
    const again = await other.open({ keyFile });
    expect(await using(again, (cache) => cache.load())).toMatchObject({ identity });
    await other.remove();
  });
});
