import { crc32 } from 'node:zlib';
import { TrustplaneError } from '../spiffe/index.ts';

/** `J <bytes of the body> <CRC-32 of the body> <CRC-32 of what stands before>`, each 8 hex digits, and a line feed. */
const HEADER = /^J ([0-9a-f]{8}) ([0-9a-f]{8}) ([0-9a-f]{8})\n$/u;
const HEADER_BYTES = 29;
const HEAD_CHECKED_BYTES = 19;

/** One body of a frame and where it lies in the file. */
export interface Frame {
  readonly body: Buffer;
  readonly offset: number;
}

interface FrameHeader {
  readonly bodyBytes: number;
  readonly checksum: number;
}

/** What is written and synced at once: it is there whole, or it was never acknowledged. */
export function buildFrame(body: Uint8Array): Buffer {
  const head = `J ${hex(body.length)} ${hex(crc32(body))}`;
  return Buffer.concat([Buffer.from(`${head} ${hex(crc32(head))}\n`), body]);
}

/** Where the body of a frame at `offset` begins. */
export function bodyOffset(offset: number): number {
  return offset + HEADER_BYTES;
}

/**
 * Hands on each frame; returns where the last one ends. Each was on disk before the next was begun, so a
 * crash can only leave the last one incomplete: it is left out, and a broken one that others follow is damage.
 * @throws TrustplaneError ERR_JOURNAL_DAMAGED; what `take` throws
 */
export function readFrames(file: Buffer, name: string, take: (frame: Frame) => void): number {
  let at = 0;
  while (at < file.length) {
    const header = headerAt(file, at);
    const end = bodyOffset(at) + (header?.bodyBytes ?? 0);
    const body = file.subarray(bodyOffset(at), end);
    const isWhole = header !== undefined && end <= file.length && crc32(body) === header.checksum;
    if (!isWhole) {
      refuseIfFollowed(file, at, name);
      return at;
    }
    take({ body, offset: bodyOffset(at) });
    at = end;
  }
  return at;
}

export function damaged(name: string, why: string, cause?: unknown): TrustplaneError {
  return new TrustplaneError(
    'ERR_JOURNAL_DAMAGED',
    `the journal ${name} ${why}; restore it from a copy, or move it away: then what only it knew is not asserted again`,
    { cause },
  );
}

/** A frame behind a broken one was begun when that one was on disk. */
function refuseIfFollowed(file: Buffer, broken: number, name: string): void {
  for (let at = file.indexOf('J ', broken + 1); at !== -1; at = file.indexOf('J ', at + 1)) {
    if (headerAt(file, at) === undefined) continue;
    throw damaged(name, `is not what was written at byte ${broken}, and more follows`);
  }
}

function headerAt(file: Buffer, offset: number): FrameHeader | undefined {
  const text = file.toString('latin1', offset, offset + HEADER_BYTES);
  const [, bytes = '', checksum = '', own = ''] = HEADER.exec(text) ?? [];
  if (own === '' || crc32(text.slice(0, HEAD_CHECKED_BYTES)) !== Number.parseInt(own, 16)) {
    return undefined;
  }
  return { bodyBytes: Number.parseInt(bytes, 16), checksum: Number.parseInt(checksum, 16) };
}

function hex(value: number): string {
  return value.toString(16).padStart(8, '0');
}
