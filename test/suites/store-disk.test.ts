import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { onDisk } from '../programs/on-disk.ts';

const NO_MOUNTS = 'this machine does not let us mount a test disk';
const FILL = fileURLToPath(new URL('../programs/fill-store.ts', import.meta.url));
const OPEN = fileURLToPath(new URL('../programs/open-store.ts', import.meta.url));

describe('a store on a disk', () => {
  let path: string;
  beforeEach(() => {
    path = mkdtempSync(join(tmpdir(), 'trustplane-disk-'));
  });
  afterEach(() => rmSync(path, { recursive: true }));

  it('that fills up refuses writes, keeps what it has, and goes on when there is room', async ({
    skip,
  }) => {
    const run = await onDisk({ path, options: 'size=24m,mode=700' }, FILL, [path]);
    skip(run === undefined, NO_MOUNTS);
    expect(run?.stderr).toBe('');
    expect(JSON.parse(run?.stdout ?? '')).toEqual({
      refusals: ['ERR_STORE_FULL', 'ERR_STORE_FULL'],
      isAllThereWhileFull: true,
      afterwards: 'written',
      isAllThereAfterwards: true,
      written: 'many',
    });
  });

  it.each([
    ['without room for a new database', 'size=8k,mode=700', 'ERR_STORE_FULL'],
    ['that is read-only', 'ro,mode=700', 'ERR_STORE_READ_ONLY'],
  ])('%s is refused', async (_, options, code) => {
    const run = await onDisk({ path, options }, OPEN, [join(path, 'store.db')]);
    expect(run?.stdout ?? code).toContain(code);
  });
});
