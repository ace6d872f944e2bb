import { lstat } from 'node:fs/promises';
import { type Log, readFileBounded, writeFileAtomic } from '../ops/index.ts';
import { type Clock, messageOf, type Timer, TrustplaneError } from '../spiffe/index.ts';
import {
  advanceKeys,
  assertionJwks,
  makeAssertionKey,
  parseKeys,
  type ScheduledKey,
  serializeKeys,
  signingKey,
} from './assertion-key-set.ts';
import type { AssertionKey } from './assertion-signer.ts';

export interface AssertionKeysOptions {
  /** Mode 0600; made when missing. Undefined: keys are in memory alone. */
  readonly file: string | undefined;
  readonly clock: Clock;
  readonly randomBytes: (count: number) => Uint8Array;
  readonly log: Log;
}

/** The keys that sign assertions: one at a time, each followed by another after a day. */
export interface AssertionKeys {
  current(): AssertionKey;
  /** Calls the listener when another key signs; returns the way to stop. */
  watch(listener: (key: AssertionKey) => void): () => void;
  /** JWK Set of the key that signs, of the next one and of the last. */
  jwks(): string;
  close(): Promise<void>;
}

const PRIVATE = 0o600;
const OTHERS = 0o077;
const MAX_FILE_BYTES = 65_536;
const LOOK_EVERY_MS = 60_000;

/**
 * Loads or makes the keys, and goes on to the next ones in time. A key is on disk before it is published.
 * @throws TrustplaneError ERR_ASSERTION_KEYS, ERR_FILE_*
 */
export async function openAssertionKeys(options: AssertionKeysOptions): Promise<AssertionKeys> {
  const keys = new LiveKeys(options, await loadAssertionKeys(options.file));
  await keys.advance();
  keys.sleep();
  return keys;
}

/** The keys in a file; none without one. @throws TrustplaneError ERR_ASSERTION_KEYS, ERR_FILE_* */
export async function loadAssertionKeys(
  file: string | undefined,
): Promise<readonly ScheduledKey[]> {
  if (file === undefined) return [];
  const stats = await lstat(file).catch(() => undefined);
  if (stats === undefined) return [];
  if (!stats.isFile() || stats.uid !== process.geteuid?.() || (stats.mode & OTHERS) !== 0) {
    throw new TrustplaneError(
      'ERR_ASSERTION_KEYS',
      `${file}: expected a file of this user with mode 0600, because others may have read it`,
    );
  }
  const bytes = await readFileBounded(file, MAX_FILE_BYTES);
  return bytes === undefined ? [] : parseKeys(bytes);
}

class LiveKeys implements AssertionKeys {
  readonly #options: AssertionKeysOptions;
  readonly #listeners = new Set<(key: AssertionKey) => void>();
  #keys: readonly ScheduledKey[];
  /** The one that listeners know. */
  #told: AssertionKey | undefined;
  #timer: Timer | undefined;
  #work: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: AssertionKeysOptions, keys: readonly ScheduledKey[]) {
    this.#options = options;
    this.#keys = keys;
  }

  current(): AssertionKey {
    const key = this.#told;
    if (key === undefined) throw new TrustplaneError('ERR_INTERNAL', 'no key signs assertions');
    return key;
  }

  watch(listener: (key: AssertionKey) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  jwks(): string {
    return assertionJwks(this.#keys);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#work;
  }

  sleep(): void {
    if (this.#isClosed) return;
    const { clock, log } = this.#options;
    this.#timer = clock.setTimer(LOOK_EVERY_MS, () => {
      this.#work = this.advance().catch((error: unknown) =>
        log.error({ error: messageOf(error) }, 'the next key for assertions is not kept yet'),
      );
      void this.#work.then(() => this.sleep());
    });
  }

  async advance(): Promise<void> {
    const { clock, file, randomBytes } = this.#options;
    const now = clock.now();
    const keys = advanceKeys(this.#keys, now, (from) => makeAssertionKey(from, randomBytes));
    const isSame =
      keys.length === this.#keys.length && keys.every((key, at) => key === this.#keys[at]);
    if (!isSame && file !== undefined) {
      await writeFileAtomic(file, Buffer.from(serializeKeys(keys)), { mode: PRIVATE });
    }
    this.#keys = keys;
    this.#tell(signingKey(keys, now));
  }

  #tell(key: AssertionKey | undefined): void {
    if (key === undefined || key === this.#told) return;
    this.#told = key;
    for (const listener of this.#listeners) listener(key);
  }
}
