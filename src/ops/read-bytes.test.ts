import { Readable } from 'node:stream';
import { expect, it } from 'vitest';
import { readBytes } from './read-bytes.ts';

it('reads what comes, up to its bound', async () => {
  const chunks = () => Readable.from([Buffer.from('one'), Buffer.from('two')]);
  expect(String(await readBytes(chunks(), 6))).toBe('onetwo');
  expect(await readBytes(Readable.from([]), 0)).toHaveLength(0);
  const stream = chunks();
  await expect(readBytes(stream, 5)).rejects.toThrow('the answer has over 5 bytes');
  expect(stream.destroyed).toBe(true);
});
