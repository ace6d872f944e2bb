import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import { onDisk } from '../programs/on-disk.ts';

const NO_MOUNTS = 'this machine does not let us mount a test disk';
const FILL = fileURLToPath(new URL('../programs/fill-cache-disk.ts', import.meta.url));

for (const end of ['closed', 'killed']) {
  it(`an agent that was ${end} and starts on a full disk has what it kept`, async ({ skip }) => {
    const folder = mkdtempSync(join(tmpdir(), 'trustplane-cache-disk-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const keys = mkdtempSync(join(tmpdir(), 'trustplane-cache-keys-'));
    onTestFinished(() => rmSync(keys, { recursive: true }));
    const disk = { path: folder, options: 'size=2m,mode=700' };
    const run = await onDisk(disk, FILL, [folder, join(keys, 'cache.key'), end]);
    skip(run === undefined, NO_MOUNTS);
    expect(run?.stderr).toBe('');
    expect(run?.stdout).toBe('ENOSPC\nkept: before\nclosed\n');
  });
}
