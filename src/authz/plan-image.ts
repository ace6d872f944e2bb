import { TrustplaneError } from '../spiffe/errors.ts';

/**
 * Policies compiled into one block of bytes. It crosses threads as it is, where there is a
 * SharedArrayBuffer without a copy, and takes the same few milliseconds to open however many rules it has.
 */
export interface PlanImage {
  /** Names the set of policies in logs. */
  readonly digest: string;
  readonly rules: number;
  readonly bytes: Uint8Array;
}

/** Of the layout: another one cannot be opened. */
const VERSION = 1;

/** Puts arrays and, last, bytes into one block, which threads share where they can. */
export function packSections(arrays: readonly Uint32Array[], last: Uint8Array): Uint8Array {
  const head = [VERSION, ...arrays.map(({ length }) => length), last.length];
  const words = head.length + arrays.reduce((sum, { length }) => sum + length, 0);
  const block = new Uint8Array(allocate(words * 4 + last.length));
  const all = new Uint32Array(block.buffer, 0, words);
  let at = 0;
  for (const array of [head, ...arrays]) {
    all.set(array, at);
    at += array.length;
  }
  block.set(last, at * 4);
  return block;
}

/** Views of what `packSections` put together from `count` arrays. @throws TrustplaneError ERR_POLICY for another layout */
export function openSections(
  block: Uint8Array,
  count: number,
): { readonly arrays: readonly Uint32Array[]; readonly last: Uint8Array } {
  const { buffer, byteOffset } = block.byteOffset % 4 === 0 ? block : block.slice();
  const head = new Uint32Array(buffer, byteOffset, count + 2);
  if (head[0] !== VERSION)
    throw new TrustplaneError('ERR_POLICY', 'the compiled policies are of another version');
  let at = byteOffset + head.byteLength;
  const arrays = Array.from(head.subarray(1, count + 1), (length) => {
    const array = new Uint32Array(buffer, at, length);
    at += array.byteLength;
    return array;
  });
  return { arrays, last: new Uint8Array(buffer, at, head[count + 1]) };
}

function allocate(bytes: number): ArrayBufferLike {
  return typeof SharedArrayBuffer === 'undefined'
    ? new ArrayBuffer(bytes)
    : new SharedArrayBuffer(bytes);
}
