import { z } from 'zod';
import { messageOf, type PolicyFile, type PolicyTexts, TrustplaneError } from '../spiffe/index.ts';
import type { Bucket } from '../store/index.ts';
import { packTexts, unpackTexts } from './packed-texts.ts';
import {
  contentDigestOf,
  decodeVersion,
  encodeVersion,
  type PolicyVersion,
  type TextsPlace,
} from './policy-version.ts';

export const HEAD = 'head';
const VERSION = 'version.';
const TEXTS = 'texts.';
/** With a number that leaves room for later ones. */
const VERSION_KEY = /^version\.0[0-9]{9}\.[0-9a-f]{64}$/u;
const AT_ONCE = 8;
const PART_DIGITS = 3;
const VERSION_DIGITS = 10;

/** Which version is in force, and from which on they are kept. */
export interface PolicyHead {
  readonly version: number;
  readonly hash: string;
  /** The oldest that is kept. */
  readonly first: number;
  /** What that has as `previous`. */
  readonly anchor: string;
}

export type StoredVersion = PolicyVersion & TextsPlace;

const digest = z.string().regex(/^[0-9a-f]{64}$/u);
const headSchema = z.strictObject({
  schema: z.literal(1),
  version: z.int().positive(),
  hash: digest,
  first: z.int().positive(),
  anchor: digest,
});

/** The records of the versions in the bucket `policies`; the head is written last and makes a version count. */
export class PolicyRecords {
  readonly #bucket: Bucket;

  constructor(bucket: Bucket) {
    this.#bucket = bucket;
  }

  /** @throws TrustplaneError ERR_POLICY_CHAIN, ERR_STORE_* */
  async head(): Promise<(PolicyHead & { readonly revision: number }) | undefined> {
    const record = await this.#bucket.get(HEAD);
    return record && { ...decodeHead(record.value), revision: record.revision };
  }

  /** The head as far as it can be read, and its revision, 0 when there is none. @throws TrustplaneError ERR_STORE_* */
  async damagedHead(): Promise<{ readonly head?: PolicyHead; readonly revision: number }> {
    const record = await this.#bucket.get(HEAD);
    if (record === undefined) return { revision: 0 };
    try {
      return { head: decodeHead(record.value), revision: record.revision };
    } catch {
      return { revision: record.revision };
    }
  }

  /** The highest number that a version has, whether it can be read or not; 0: there are none. @throws TrustplaneError ERR_STORE_* */
  async lastNumber(): Promise<number> {
    let last = 0;
    await this.#bucket.scan(VERSION, (some) => {
      for (const { key } of some) if (VERSION_KEY.test(key)) last = Math.max(last, versionOf(key));
    });
    return last;
  }

  /** Returns the revision. @throws TrustplaneError ERR_STORE_CONFLICT, ERR_STORE_* */
  async putHead(head: PolicyHead, expected: number): Promise<number> {
    const value = Buffer.from(JSON.stringify({ schema: 1, ...head }));
    return await this.#bucket.put(HEAD, value, expected);
  }

  /** @throws TrustplaneError ERR_POLICY_CHAIN when it is not there or another than its hash says; ERR_STORE_* */
  async version(version: number, hash: string): Promise<StoredVersion> {
    const record = await this.#bucket.get(versionKey(version, hash));
    if (record === undefined) throw broken(`version ${version} is not there`);
    return readVersion(record.value, version, hash);
  }

  /** All that are readable, of the chain and not. @throws TrustplaneError ERR_STORE_* */
  async versions(): Promise<ReadonlyMap<string, StoredVersion>> {
    const found = new Map<string, StoredVersion>();
    await this.#bucket.scan(VERSION, (some) => {
      for (const { key, value } of some) {
        const stored = readOrUndefined(value);
        if (stored !== undefined) found.set(key, stored);
      }
    });
    return found;
  }

  /** @throws TrustplaneError ERR_POLICY_CHAIN, ERR_STORE_* */
  async texts({ place, parts, ...version }: StoredVersion): Promise<PolicyTexts> {
    const read: Uint8Array[] = [];
    for (let part = 0; part < parts; part++) {
      const record = await this.#bucket.get(textsKey(place, part));
      if (record === undefined) throw broken(`files of version ${version.version} are not there`);
      read.push(record.value);
    }
    const files = await unpackTexts(read).catch((cause: unknown) => {
      throw broken(`the files of version ${version.version} are damaged`, cause);
    });
    if (contentDigestOf(files) !== version.contentDigest)
      throw broken(`the files of version ${version.version} are others than those it names`);
    return textsOf(version, files);
  }

  /** @throws TrustplaneError ERR_STORE_* */
  async putTexts(place: string, files: readonly PolicyFile[]): Promise<TextsPlace> {
    const parts = await packTexts(files);
    for (let at = 0; at < parts.length; at += AT_ONCE) {
      const some = parts.slice(at, at + AT_ONCE);
      await Promise.all(
        some.map((part, index) => this.#bucket.put(textsKey(place, at + index), part, 0)),
      );
    }
    return { place, parts: parts.length };
  }

  /** @throws TrustplaneError ERR_STORE_* */
  async putVersion(version: PolicyVersion, place: TextsPlace): Promise<void> {
    const key = versionKey(version.version, version.hash);
    await this.#bucket.put(key, encodeVersion(version, place), 0);
  }

  /** Deletes versions and files that are not `kept`, save files of places that began after `instant`. @throws TrustplaneError ERR_STORE_* */
  async deleteOthers(kept: readonly StoredVersion[], instant: number): Promise<number> {
    const keys = new Set(kept.map(({ version, hash }) => versionKey(version, hash)));
    const places = new Set(kept.map(({ place }) => place));
    const last = kept.at(-1)?.version ?? 0;
    const doomed: string[] = [];
    await this.#bucket.scan('', (some) => {
      for (const { key } of some) {
        if (key.startsWith(VERSION) && !keys.has(key) && versionOf(key) <= last) doomed.push(key);
        const place = key.startsWith(TEXTS) ? placeOf(key) : undefined;
        if (place !== undefined && !places.has(place) && beganAt(place) < instant) doomed.push(key);
      }
    });
    for (let at = 0; at < doomed.length; at += AT_ONCE) {
      await Promise.all(doomed.slice(at, at + AT_ONCE).map((key) => this.#bucket.delete(key)));
    }
    return doomed.filter((key) => key.startsWith(VERSION)).length;
  }
}

/** Names a place for files, by when it is made. @param random 16 hex digits or so */
export function placeAt(instant: number, random: string): string {
  return `${instant.toString(36)}-${random}`;
}

export function textsOf(version: PolicyVersion, files: readonly PolicyFile[]): PolicyTexts {
  const { hash, digest: said, createdAt } = version;
  return { version: version.version, hash, digest: said, createdAt, files };
}

/** The same object for a file that is the same: what is made of it is kept with it. */
export function keepFiles(texts: PolicyTexts, before: PolicyTexts | undefined): PolicyTexts {
  const known = new Map(before?.files.map((file) => [`${file.name} ${file.sha256}`, file]));
  const files = texts.files.map((file) => known.get(`${file.name} ${file.sha256}`) ?? file);
  return { ...texts, files };
}

/** @throws TrustplaneError ERR_POLICY_CHAIN */
export function decodeHead(value: Uint8Array): PolicyHead {
  try {
    const { schema: _, ...head } = headSchema.parse(JSON.parse(Buffer.from(value).toString()));
    return head;
  } catch (cause) {
    throw broken(`the head is malformed: ${messageOf(cause)}`, cause);
  }
}

export function versionKey(version: number, hash: string): string {
  return `${VERSION}${String(version).padStart(VERSION_DIGITS, '0')}.${hash}`;
}

export function broken(why: string, cause?: unknown): TrustplaneError {
  const message = `the policies in the store: ${why}`;
  return new TrustplaneError('ERR_POLICY_CHAIN', message, cause === undefined ? {} : { cause });
}

function readVersion(value: Uint8Array, version: number, hash: string): StoredVersion {
  const stored = readOrUndefined(value);
  if (stored?.version === version && stored.hash === hash) return stored;
  throw broken(`version ${version} is another than its hash says`);
}

function readOrUndefined(value: Uint8Array): StoredVersion | undefined {
  try {
    return decodeVersion(value);
  } catch {
    return undefined;
  }
}

function textsKey(place: string, part: number): string {
  return `${TEXTS}${place}.${String(part).padStart(PART_DIGITS, '0')}`;
}

function placeOf(key: string): string {
  return key.slice(TEXTS.length, key.lastIndexOf('.'));
}

function versionOf(key: string): number {
  return Number(key.slice(VERSION.length, VERSION.length + VERSION_DIGITS));
}

function beganAt(place: string): number {
  return Number.parseInt(place.split('-', 1)[0] ?? '', 36);
}
