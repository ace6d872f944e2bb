import { existsSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { type DataDir, type Log, type Metrics, openDataDir } from '../ops/index.ts';
import {
  type AgentFacts,
  type Bundle,
  type Clock,
  messageOf,
  type TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import { openSqliteStore, type Store, type StoredRecord } from '../store/index.ts';
import {
  buildFacts,
  bundleItem,
  bundleKeyOf,
  type HeldItem,
  type Position,
  termsKeyOf,
} from '../sync/index.ts';
import type { NodeIdentity } from './node-identity.ts';
import { type CacheKeyOptions, loadCacheKey } from './sealed-cache-key.ts';
import { itemsOf, readBundle, readItem } from './sealed-facts.ts';
import {
  decodeIdentity,
  decodePosition,
  decodeSvid,
  encodeIdentity,
  encodePosition,
  encodeSvid,
  type KeptSvid,
} from './sealed-records.ts';
import { openValue, type Seal, sealValue } from './sealed-value.ts';
import { SealedWriter } from './sealed-writer.ts';

const FILE = 'cache.db';
/** The one bucket in use: a snapshot of it is one moment. */
const BUCKET = 'agents';
/** There from the beginning, so that another key is known for what it is. */
const CHECK = 'check';
const IDENTITY = 'identity';
const POSITION = 'position';
const ITEM = 'item.';
const SVID = 'svid.';
const HEARD = 'heard.';
/** A clock that is ahead at the start of a machine takes nothing away. */
const FORGET_AFTER_MS = 86_400_000;

/** What an agent had when it ended. */
export interface SealedState {
  readonly identity: NodeIdentity | undefined;
  readonly facts: AgentFacts | undefined;
  /** Where the facts stand; undefined when they did not come by Sync. */
  readonly position: Position | undefined;
  readonly svids: readonly KeptSvid[];
  /** Bundles that were heard of and not told yet. */
  readonly heard: readonly Bundle[];
}

/**
 * What an agent keeps over its own restarts, sealed. A save resolves when it is durable; one that
 * fails is logged and tried again, and never stops the agent; only `saveIdentity` rejects then.
 */
export interface SealedCache {
  /** What was kept; damaged values are named in the log and dropped. */
  load(): Promise<SealedState>;
  /** @throws TrustplaneError ERR_STORE_*: it is not durable yet */
  saveIdentity(identity: NodeIdentity): Promise<void>;
  /** Writes what has changed since the last time. */
  saveFacts(facts: AgentFacts, position: Position | undefined): Promise<void>;
  /** Undefined: it is not used again. */
  saveSvid(entryId: string, svid: Omit<KeptSvid, 'entryId'> | undefined): Promise<void>;
  /** A bundle that no server told yet; undefined: it is of no use any more. */
  saveHeard(trustDomain: TrustDomain, bundle: Bundle | undefined): Promise<void>;
  close(): Promise<void>;
}

export interface SealedCacheOptions extends CacheKeyOptions {
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/**
 * Opens the cache in the data directory, which this process then holds alone. One that is damaged, or
 * sealed with another key, is set aside as `cache.db.unreadable`, or where that is there as
 * `cache.db.unreadable.last`, with an error in the log, and a new one is begun: nothing that an agent could still read is lost, and it starts all the same.
 * @throws TrustplaneError ERR_DATA_DIR*, ERR_CACHE_KEY_FILE, ERR_STORE_*
 */
export async function openSealedCache(options: SealedCacheOptions): Promise<SealedCache> {
  const dataDir = openDataDir(options.dataDir, true);
  try {
    const { bytes, file } = await loadCacheKey({ ...options, dataDir: dataDir.path });
    const seal = { key: bytes, random: options.random };
    const database = path.join(dataDir.path, FILE);
    const store = await openReadable(database, seal, file, options);
    return new SqliteSealedCache(store, seal, dataDir, options);
  } catch (error) {
    dataDir.close();
    throw error;
  }
}

async function openReadable(
  database: string,
  seal: Seal,
  keyFile: string,
  options: SealedCacheOptions,
): Promise<Store> {
  try {
    return await openChecked(database, seal, keyFile, options);
  } catch (error) {
    const code = error instanceof TrustplaneError ? error.code : undefined;
    if (code !== 'ERR_STORE_DAMAGED' && code !== 'ERR_CACHE_KEY') throw error;
    setAside(database);
    options.log.error(
      { code, error: messageOf(error) },
      'the cache was set aside; starting without it',
    );
    return await openChecked(database, seal, keyFile, options);
  }
}

/** @throws TrustplaneError ERR_CACHE_KEY */
async function openChecked(
  database: string,
  seal: Seal,
  keyFile: string,
  { trustDomain, clock, log }: SealedCacheOptions,
): Promise<Store> {
  const store = await openSqliteStore({ path: database, trustDomain, clock, log });
  try {
    const bucket = store.bucket(BUCKET);
    const { records } = await bucket.list('');
    if (records.length > 0 && !records.some((record) => canOpen(seal, record))) {
      throw wrongKey(database, keyFile);
    }
    if (!records.some(({ key }) => key === CHECK)) {
      await bucket.put(CHECK, sealValue(seal, CHECK, Buffer.from(CHECK)));
    }
    return store;
  } catch (error) {
    await store.close();
    throw error;
  }
}

function canOpen(seal: Seal, { key, value }: StoredRecord): boolean {
  try {
    openValue(seal, key, value);
    return true;
  } catch {
    return false;
  }
}

function wrongKey(database: string, keyFile: string): TrustplaneError {
  return new TrustplaneError(
    'ERR_CACHE_KEY',
    `${database} is sealed with another key than the one in ${keyFile}; to have it back, stop the agent, restore the key, and rename ${asideOf(database)} to ${database}`,
  );
}

/** The first one may be the good one, and stays until somebody takes it away; of later ones the last. */
function asideOf(database: string): string {
  const first = `${database}.unreadable`;
  return existsSync(first) ? `${first}.last` : first;
}

function setAside(database: string): void {
  const aside = asideOf(database);
  for (const suffix of ['', '-wal', '-shm']) {
    rmSync(aside + suffix, { force: true });
    if (existsSync(database + suffix)) renameSync(database + suffix, aside + suffix);
  }
}

class SqliteSealedCache implements SealedCache {
  readonly #store: Store;
  readonly #seal: Seal;
  readonly #dataDir: DataDir;
  readonly #options: SealedCacheOptions;
  readonly #writer: SealedWriter;
  /** Hashes of the items as they are kept, or on the way, by name. */
  #items: ReadonlyMap<string, bigint> = new Map();

  constructor(store: Store, seal: Seal, dataDir: DataDir, options: SealedCacheOptions) {
    this.#store = store;
    this.#seal = seal;
    this.#dataDir = dataDir;
    this.#options = options;
    this.#writer = new SealedWriter({ ...options, bucket: store.bucket(BUCKET), seal });
  }

  async load(): Promise<SealedState> {
    const { trustDomain, clock } = this.#options;
    const forgetBefore = clock.now() - FORGET_AFTER_MS;
    const { records } = await this.#store.bucket(BUCKET).list('');
    const items: HeldItem[] = [];
    const svids: KeptSvid[] = [];
    const heard: Bundle[] = [];
    let identity: NodeIdentity | undefined;
    let position: Position | undefined;
    const dropped: string[] = [];
    for (const record of records) {
      const { key } = record;
      try {
        const value = openValue(this.#seal, key, record.value);
        if (key === IDENTITY) identity = decodeIdentity(value, trustDomain);
        else if (key === POSITION) position = decodePosition(value);
        else if (key.startsWith(ITEM)) items.push(readItem(textOf(key, ITEM), value, trustDomain));
        else if (key.startsWith(HEARD)) heard.push(readBundle(textOf(key, HEARD), value));
        else if (key.startsWith(SVID)) {
          const svid = decodeSvid(value, textOf(key, SVID));
          if (svid.expiresAt < forgetBefore) dropped.push(key);
          else svids.push(svid);
        }
      } catch (error) {
        dropped.push(...withDependents(key));
        this.#options.log.error(
          { key, error: messageOf(error) },
          'a value of the cache was dropped',
        );
      }
    }
    const kept = items.filter(({ key }) => !dropped.includes(nameOf(ITEM, key)));
    this.#items = new Map(kept.map(({ key, hash }) => [nameOf(ITEM, key), hash]));
    await this.#writer.write(dropped.map((key) => [key, () => undefined] as const));
    const facts = buildFacts(kept, trustDomain);
    return { identity, facts, position: facts && position, svids, heard };
  }

  async saveIdentity(identity: NodeIdentity): Promise<void> {
    const failure = await this.#writer.write([[IDENTITY, () => encodeIdentity(identity)]]);
    if (failure !== undefined) throw failure;
  }

  async saveFacts(facts: AgentFacts, position: Position | undefined): Promise<void> {
    const before = this.#items;
    const after = new Map<string, bigint>();
    const changes: [string, () => Uint8Array | undefined][] = [];
    for (const { key, bytes, hash } of itemsOf(facts)) {
      const name = nameOf(ITEM, key);
      after.set(name, hash);
      if (before.get(name) !== hash) changes.push([name, () => bytes]);
    }
    // Backwards: a bundle goes before its terms.
    for (const name of [...before.keys()].reverse()) {
      if (!after.has(name)) changes.push([name, () => undefined]);
    }
    this.#items = after;
    changes.push([POSITION, () => position && encodePosition(position)]);
    await this.#writer.write(changes);
  }

  async saveSvid(entryId: string, svid: Omit<KeptSvid, 'entryId'> | undefined): Promise<void> {
    await this.#writer.write([[nameOf(SVID, entryId), () => svid && encodeSvid(svid)]]);
  }

  async saveHeard({ name }: TrustDomain, bundle: Bundle | undefined): Promise<void> {
    await this.#writer.write([[nameOf(HEARD, name), () => bundle && bundleItem(bundle).bytes]]);
  }

  async close(): Promise<void> {
    await this.#writer.close();
    await this.#store.close();
    this.#dataDir.close();
  }
}

/** What is not to be used without a value: without its terms, no bundle of a trust domain. */
function withDependents(name: string): readonly string[] {
  if (!name.startsWith(ITEM)) return [name];
  const key = textOf(name, ITEM);
  return key.startsWith(termsKeyOf('')) ? [nameOf(ITEM, bundleKeyOf(key.slice(2))), name] : [name];
}

/** Of any text a key of the store. */
function nameOf(prefix: string, text: string): string {
  return prefix + Buffer.from(text).toString('base64url');
}

function textOf(name: string, prefix: string): string {
  return Buffer.from(name.slice(prefix.length), 'base64url').toString();
}
