import { spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const PROGRAM = `
import { createLog } from ${JSON.stringify(new URL('./log.ts', import.meta.url).href)};
const log = createLog({ level: 'info' });
const text = 'x'.repeat(1000);
for (let count = 0; count < 100_000; count++) log.info({ count }, text);
gc();
process.stdout.write(String(process.memoryUsage().heapUsed < 50 * 1024 * 1024));
`;

describe('createLog', () => {
  it('loses lines that cannot be written, and neither ends the process nor keeps them', () => {
    const full = openSync('/dev/full', 'w');
    const { stdout, status } = spawnSync(
      process.execPath,
      ['--expose-gc', '--input-type=module', '--eval', PROGRAM],
      { stdio: ['ignore', 'pipe', full], encoding: 'utf8' },
    );
    closeSync(full);
    expect({ stdout, status }).toEqual({ stdout: 'true', status: 0 });
  });
});
