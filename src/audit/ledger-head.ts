import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { z } from 'zod';
import { readFileBounded, writeFileAtomic } from '../ops/index.ts';

const SLOT_BYTES = 512;
const KEY_BYTES = 32;
const PRIVATE = 0o600;

const sequenceNumber = z.int().nonnegative();
const hash = z.string().regex(/^[0-9a-f]{64}$/u);
const slotSchema = z.strictObject({
  version: z.literal(1),
  count: z.int().positive(),
  first: z.strictObject({ seq: z.int().positive(), prev: hash }),
  last: z.strictObject({ seq: sequenceNumber, hash }),
  mac: hash,
});

/** Both ends of the ledger. */
export interface Head {
  /** The oldest record that has to be there, and what it chains on. */
  readonly first: { readonly sequenceNumber: number; readonly previousHash: string };
  /** The last one that was acknowledged; 0: none yet. */
  readonly last: { readonly sequenceNumber: number; readonly hash: string };
}

/** What the file of the head says. */
export interface HeadReading {
  /** Undefined: nothing that is good. */
  readonly head: Head | undefined;
  /** How often it was written. */
  readonly count: number;
  readonly fault: string | undefined;
}

/** Where a head lies, and what vouches for it. */
export interface HeadPlace {
  readonly headFile: string;
  /** A key beside it, 32 bytes; not in the folder of the ledger. */
  readonly keyFile: string;
}

/**
 * Two slots, written in turns: a crash spoils at most the one that is being written, and each has a MAC. The
 * ledger is on disk before its head says so.
 */
export class HeadFile {
  readonly #handle: FileHandle;
  readonly #key: Uint8Array;
  #count: number;

  private constructor(handle: FileHandle, key: Uint8Array, count: number) {
    this.#handle = handle;
    this.#key = key;
    this.#count = count;
  }

  /** Puts a new one in the place of any that is there. @throws TrustplaneError ERR_FILE_* */
  static async create(place: HeadPlace, head: Head): Promise<HeadFile> {
    const key = (await readKey(place)) ?? (await createKey(place));
    const slots = [1, 2].map((count) => buildSlot(key, count, head));
    await writeFileAtomic(place.headFile, Buffer.concat(slots), { mode: PRIVATE });
    return await HeadFile.#open(place, key, 2);
  }

  /** @throws TrustplaneError ERR_FILE_* */
  static async open(place: HeadPlace, { count }: HeadReading): Promise<HeadFile> {
    return await HeadFile.#open(place, (await readKey(place)) ?? new Uint8Array(), count);
  }

  static async #open({ headFile }: HeadPlace, key: Uint8Array, count: number): Promise<HeadFile> {
    const handle = await open(headFile, constants.O_RDWR | constants.O_NOFOLLOW);
    return new HeadFile(handle, key, count);
  }

  /** Survives the end of the process, however it ends; `sync` makes it survive the machine's. */
  async write(head: Head): Promise<void> {
    const count = this.#count + 1;
    const slot = buildSlot(this.#key, count, head);
    const { bytesWritten } = await this.#handle.write(slot, 0, SLOT_BYTES, offsetOf(count));
    if (bytesWritten !== SLOT_BYTES) throw new Error('the head was written in part');
    this.#count = count;
  }

  async sync(): Promise<void> {
    await this.#handle.datasync();
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** What is there, and what is wrong with it. @throws TrustplaneError ERR_FILE_* */
export async function readHead(place: HeadPlace): Promise<HeadReading> {
  const bytes = await readFileBounded(place.headFile, 2 * SLOT_BYTES);
  const key = await readKey(place);
  if (bytes === undefined) {
    const fault = key === undefined ? undefined : `the head record ${place.headFile} is gone`;
    return { head: undefined, count: 0, fault };
  }
  if (key === undefined) return failed(`the key of the head record, ${place.keyFile}, is gone`);
  const slots = [0, 1].map((index) =>
    readSlot(key, bytes.subarray(index * SLOT_BYTES, (index + 1) * SLOT_BYTES)),
  );
  const [newest] = slots.filter((slot) => slot !== undefined).sort((a, b) => b.count - a.count);
  if (newest === undefined)
    return failed(`the head record ${place.headFile} is not what was written`);
  const isWhole = !slots.includes(undefined) && bytes.length === 2 * SLOT_BYTES;
  const fault = isWhole
    ? undefined
    : `half of the head record ${place.headFile} is not what was written`;
  return { ...newest, fault };
}

function failed(fault: string): HeadReading {
  return { head: undefined, count: 0, fault };
}

function offsetOf(count: number): number {
  return (count % 2) * SLOT_BYTES;
}

function buildSlot(key: Uint8Array, count: number, { first, last }: Head): Buffer {
  const content = {
    version: 1,
    count,
    first: { seq: first.sequenceNumber, prev: first.previousHash },
    last: { seq: last.sequenceNumber, hash: last.hash },
  };
  const mac = macOf(key, JSON.stringify(content)).toString('hex');
  return Buffer.from(`${JSON.stringify({ ...content, mac }).padEnd(SLOT_BYTES - 1)}\n`);
}

function readSlot(key: Uint8Array, bytes: Uint8Array): { head: Head; count: number } | undefined {
  try {
    const text = Buffer.from(bytes).toString('latin1');
    const { mac, ...content } = slotSchema.parse(JSON.parse(text));
    const own = macOf(key, JSON.stringify(content));
    if (!timingSafeEqual(own, Buffer.from(mac, 'hex'))) return undefined;
    const { first, last, count } = content;
    const head = {
      first: { sequenceNumber: first.seq, previousHash: first.prev },
      last: { sequenceNumber: last.seq, hash: last.hash },
    };
    // White space that JSON ignores is part of what was written, too.
    return Buffer.from(bytes).equals(buildSlot(key, count, head)) ? { head, count } : undefined;
  } catch {
    return undefined;
  }
}

function macOf(key: Uint8Array, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

async function readKey({ keyFile }: HeadPlace): Promise<Uint8Array | undefined> {
  const key = await readFileBounded(keyFile, KEY_BYTES);
  return key?.length === KEY_BYTES ? key : undefined;
}

async function createKey({ keyFile }: HeadPlace): Promise<Uint8Array> {
  const key = randomBytes(KEY_BYTES);
  await writeFileAtomic(keyFile, key, { mode: PRIVATE });
  return key;
}
