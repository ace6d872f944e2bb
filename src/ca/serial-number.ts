const TIME_BYTES = 6;
const RANDOM_BYTES = 10;
const POOL_BYTES = 100 * RANDOM_BYTES;

/** `count` unpredictable bytes; node:crypto's `randomBytes` outside tests. */
export type RandomBytes = (count: number) => Uint8Array;

/**
 * Makes serial numbers: 48 bits of issue time in milliseconds, then 80 random bits (design D12).
 * They are positive and at most 16 octets until the year 6429, unique without memory, and any
 * holder can tell when one was issued. Random bytes are drawn a hundred numbers ahead.
 */
export function createSerialNumbers(random: RandomBytes): (now: number) => Uint8Array {
  let pool: Uint8Array = new Uint8Array();
  let offset = 0;
  return (now) => {
    if (offset + RANDOM_BYTES > pool.length) {
      pool = random(POOL_BYTES);
      offset = 0;
    }
    const serial = new Uint8Array(TIME_BYTES + RANDOM_BYTES);
    writeInstant(serial, now);
    serial.set(pool.subarray(offset, offset + RANDOM_BYTES), TIME_BYTES);
    offset += RANDOM_BYTES;
    return serial;
  };
}

function writeInstant(serial: Uint8Array, now: number): void {
  let left = now;
  for (let index = TIME_BYTES - 1; index >= 0; index--) {
    serial[index] = left % 256;
    left = Math.floor(left / 256);
  }
}
