import { copyFileSync, mkdtempSync, realpathSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { FakeClock } from '../../../test/fakes/fake-clock.ts';
import { AttestableChild } from '../../../test/programs/attestable-child.ts';
import { silentLog } from '../../ops/index.ts';
import { ExecutableReader } from './executable.ts';

const HOUR_MS = 3_600_000;
const LARGE_BYTES = 64 * 1024 * 1024;

/** A clock on which all waiting is over at once. */
class HastyClock extends FakeClock {
  override setTimer(_delayMs: number, fire: () => void) {
    const handle = setImmediate(fire);
    return { cancel: () => clearImmediate(handle) };
  }
}

it('leaves out a digest that takes long, and asks for another attestation when it is there', async () => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'executable-')));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const program = join(folder, 'program');
  copyFileSync('/bin/sleep', program);
  truncateSync(program, LARGE_BYTES);
  const child = await AttestableChild.start(program, ['60']);
  onTestFinished(() => child.stop());
  const clock = new HastyClock(Date.now() + HOUR_MS);
  const reader = new ExecutableReader({ log: silentLog, clock, maxExecutableBytes: 2 ** 30 });
  const again = Promise.withResolvers<void>();
  expect(await reader.read(child, again.resolve)).toEqual({ path: program, sha256: undefined });
  await again.promise;
  const known = await reader.read(child, () => {});
  expect(known).toEqual({ path: program, sha256: expect.stringMatching(/^[0-9a-f]{64}$/u) });
});
