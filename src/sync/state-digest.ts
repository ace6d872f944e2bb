import { createHash } from 'node:crypto';

/**
 * A digest over a set of items that any order of additions and removals brings to the same value:
 * the sum of their hashes modulo 2^256. It finds mistakes; it does not stand up to somebody who can
 * choose many items.
 */
export type StateDigest = bigint;

const BITS = 256;
const DIGITS = 64;

/** The hash of one item; `kind` keeps items of different kinds apart. */
export function hashItem(kind: string, bytes: Uint8Array): bigint {
  return BigInt(`0x${createHash('sha256').update(kind).update(bytes).digest('hex')}`);
}

export function withHash(digest: StateDigest, hash: bigint): StateDigest {
  return BigInt.asUintN(BITS, digest + hash);
}

export function withoutHash(digest: StateDigest, hash: bigint): StateDigest {
  return BigInt.asUintN(BITS, digest - hash);
}

export function formatDigest(digest: StateDigest): string {
  return digest.toString(16).padStart(DIGITS, '0');
}
