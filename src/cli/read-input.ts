import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';

/**
 * The bytes of a file, or of standard input for `-`.
 * @throws TrustplaneError ERR_FILE_READ, ERR_FILE_TOO_LARGE
 */
export async function readInput(path: string, maxBytes: number): Promise<Uint8Array> {
  const name = path === '-' ? 'standard input' : path;
  const stream: Readable = path === '-' ? process.stdin : createReadStream(path);
  const parts: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const part of stream) {
      parts.push(Buffer.from(part));
      bytes += parts.at(-1)?.length ?? 0;
      if (bytes > maxBytes) break;
    }
  } catch (cause) {
    const message = `${name} could not be read: ${messageOf(cause)}`;
    throw new TrustplaneError('ERR_FILE_READ', message, { cause });
  }
  if (bytes <= maxBytes) return Buffer.concat(parts);
  const message = `${name} has more than ${maxBytes} bytes, the most allowed here`;
  throw new TrustplaneError('ERR_FILE_TOO_LARGE', message);
}
