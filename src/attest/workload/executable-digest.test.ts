import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ExecutableDigests } from './executable-digest.ts';

const HOUR_MS = 3_600_000;

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'digest-'));
  path = join(folder, 'program');
});

afterEach(() => rmSync(folder, { recursive: true }));

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Opens, and counts the reads. */
async function read(
  digests: ExecutableDigests,
): Promise<{ digest: string | undefined; reads: number }> {
  const file = await open(path);
  let reads = 0;
  const read = file.read.bind(file);
  Object.defineProperty(file, 'read', {
    value: (...args: Parameters<typeof read>) => {
      reads += 1;
      return read(...args);
    },
  });
  try {
    return { digest: await digests.read(file, await file.stat({ bigint: true }), 1), reads };
  } finally {
    await file.close();
  }
}

describe('ExecutableDigests', () => {
  it('reads a settled file once', async () => {
    writeFileSync(path, 'x'.repeat(1_000_000));
    const digests = new ExecutableDigests(1_000_000, () => Date.now() + HOUR_MS);
    const first = await read(digests);
    expect(first.digest).toBe(sha256('x'.repeat(1_000_000)));
    expect(first.reads).toBeGreaterThan(1);
    expect(await read(digests)).toEqual({ digest: first.digest, reads: 0 });
  });

  it('reads it again when it was written, though size and modification time are the same', async () => {
    writeFileSync(path, 'aaaa');
    utimesSync(path, 1, 1);
    const digests = new ExecutableDigests(100, () => Date.now() + HOUR_MS);
    expect((await read(digests)).digest).toBe(sha256('aaaa'));
    writeFileSync(path, 'bbbb');
    utimesSync(path, 1, 1);
    expect((await read(digests)).digest).toBe(sha256('bbbb'));
  });

  it('does not keep the digest of a file that was written just now', async () => {
    writeFileSync(path, 'aaaa');
    const digests = new ExecutableDigests(100, Date.now);
    await read(digests);
    expect((await read(digests)).reads).toBeGreaterThan(0);
  });

  it('reads a file once for all who ask together', async () => {
    writeFileSync(path, 'x'.repeat(1_000_000));
    const digests = new ExecutableDigests(1_000_000, Date.now);
    const answers = await Promise.all([read(digests), read(digests), read(digests)]);
    expect(new Set(answers.map(({ digest }) => digest)).size).toBe(1);
    expect(answers.filter(({ reads }) => reads > 0)).toHaveLength(1);
  });

  it('leaves a file out that is too long, and reads none of it', async () => {
    writeFileSync(path, 'x'.repeat(101));
    expect(await read(new ExecutableDigests(100, Date.now))).toEqual({
      digest: undefined,
      reads: 0,
    });
  });
});
