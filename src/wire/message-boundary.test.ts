import fc from 'fast-check';
import { expect, it } from 'vitest';
import { MessageBoundary } from './message-boundary.ts';

function frame(length: number): Buffer {
  const bytes = Buffer.alloc(5 + length, 0xff);
  bytes.writeUInt8(0, 0);
  bytes.writeUInt32BE(length, 1);
  return bytes;
}

it('is reached after the last byte of each message, however the bytes are cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(20), { minLength: 1 }),
      fc.array(fc.integer({ min: 1, max: 30 })),
      (lengths, cuts) => {
        const bytes = Buffer.concat(lengths.map(frame));
        const ends = new Set([0]);
        lengths.reduce((at, length) => ends.add(at + 5 + length) && at + 5 + length, 0);
        const boundary = new MessageBoundary();
        for (let at = 0, next = 0; at < bytes.length; next++) {
          const end = Math.min(at + (cuts[next] ?? bytes.length), bytes.length);
          boundary.take(bytes.subarray(at, end));
          expect(boundary.isReached).toBe(ends.has(end));
          at = end;
        }
      },
    ),
  );
});
