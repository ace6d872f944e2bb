import type { BucketName } from './store.ts';

/**
 * Records that must not go back to what they were, whatever the store loses: said by the room whose
 * records they are, asserted by who remembers them.
 */
export interface LastingRecords {
  readonly bucket: BucketName;
  /** Of their keys; of several the first that fits counts. */
  readonly prefix: string;
  /** The latest of each record is remembered, or only that one was deleted. */
  readonly keeps: 'all' | 'deletions';
  /** From when a record need not be remembered, milliseconds since the epoch; undefined: until it is deleted. */
  endOf(key: string, value: Uint8Array): number | undefined;
  /**
   * The safe side of a record that is remembered and the one that is stored (undefined: none), when nobody
   * knows which is later; undefined: what is stored.
   */
  join(key: string, known: Uint8Array, stored: Uint8Array | undefined): Uint8Array | undefined;
}

/** What `read` makes of a value, or undefined when it throws. */
export function readOrUndefined<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
