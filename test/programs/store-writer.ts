/**
 * Writes to the store in the file of the first argument until it is killed. Each line on standard
 * output tells of one write: `try KEY VALUE` before it, `ack KEY VALUE REVISION` once it is
 * acknowledged (VALUE `-`: a delete). Lines are written at once, so that whoever reads them knows
 * what was acknowledged when the process died.
 */
import { writeSync } from 'node:fs';
import { systemClock } from '../../src/ops/system-clock.ts';
import { TrustDomain } from '../../src/spiffe/trust-domain.ts';
import { type Bucket, openSqliteStore } from '../../src/store/index.ts';

const WRITERS = 16;
const KEYS_PER_WRITER = 8;

const [path, run] = process.argv.slice(2);
if (path === undefined || run === undefined) throw new Error('usage: store-writer.ts PATH RUN');

const trustDomain = TrustDomain.parse('example.org');
const store = await openSqliteStore({ path, trustDomain, clock: systemClock });
say('open');
await Promise.all(
  Array.from({ length: WRITERS }, (_, writer) => writeForever(store.bucket('tokens'), writer)),
);

async function writeForever(bucket: Bucket, writer: number): Promise<never> {
  for (let n = 0; ; n++) {
    const key = `w${writer}.k${n % KEYS_PER_WRITER}`;
    const value = n % 5 === 4 ? '-' : `${run}.${n}.${'x'.repeat((n * 37) % 3000)}`;
    say(`try ${key} ${value}`);
    const revision =
      value === '-' ? await bucket.delete(key) : await bucket.put(key, Buffer.from(value));
    say(`ack ${key} ${value} ${revision ?? 0}`);
  }
}

/** Returns when the pipe has the line; a full pipe is waited for. */
function say(line: string): void {
  let left: Uint8Array = Buffer.from(`${line}\n`);
  while (left.length > 0) left = left.subarray(writeSome(left));
}

function writeSome(bytes: Uint8Array): number {
  try {
    return writeSync(1, bytes);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return 0;
    throw error;
  }
}
