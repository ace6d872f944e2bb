import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { MAX_LINE_BYTES } from './ledger-line.ts';

const CHUNK_BYTES = 262_144;
const LINE_FEED = 0x0a;

/** A line of a file, of which later reads change nothing. */
export interface FileLine {
  readonly bytes: Buffer;
  /** From 1. */
  readonly number: number;
  /** Where it begins. */
  readonly offset: number;
  /** False for what the file ends with, without a line feed, and for more than any line has. */
  readonly isWhole: boolean;
}

/**
 * The lines of a file, many at a time; no more of it than `end` bytes. Memory is bounded by one chunk and one line:
 * of a longer line only the beginning is handed on.
 */
export async function* readLines(
  path: string,
  end: number = Infinity,
): AsyncGenerator<readonly FileLine[], void, undefined> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  let rest = Buffer.alloc(0);
  let restOffset = 0;
  let skipping = false;
  let number = 1;
  for (let position = 0; position < end; ) {
    const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, end - position));
    const { bytesRead } = await file.read(chunk, 0, chunk.length, position);
    if (bytesRead === 0) break;
    position += bytesRead;
    const bytes = Buffer.concat([rest, chunk.subarray(0, bytesRead)]);
    const lines: FileLine[] = [];
    let begin = 0;
    for (let at = bytes.indexOf(LINE_FEED); at !== -1; at = bytes.indexOf(LINE_FEED, begin)) {
      const line = { bytes: bytes.subarray(begin, at), number, offset: restOffset + begin };
      if (!skipping) lines.push({ ...line, isWhole: true });
      skipping = false;
      number += 1;
      begin = at + 1;
    }
    rest = bytes.subarray(begin);
    restOffset += begin;
    if (rest.length > MAX_LINE_BYTES) {
      if (!skipping) lines.push({ bytes: rest, number, offset: restOffset, isWhole: false });
      skipping = true;
      restOffset += rest.length;
      rest = Buffer.alloc(0);
    }
    yield lines;
  }
  if (rest.length > 0 && !skipping) {
    yield [{ bytes: rest, number, offset: restOffset, isWhole: false }];
  }
}
