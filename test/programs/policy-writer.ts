/**
 * Applies policies to the store in the file of the first argument until it is killed, each version of
 * files with the same text in each. Each line on standard output is `ack VERSION TEXT` of one that was
 * acknowledged, `try TEXT` before.
 */
import { randomBytes } from 'node:crypto';
import { writeSync } from 'node:fs';
import { policyFile } from '../../src/spiffe/index.ts';
import { openPolicyFile } from './open-policy-file.ts';

const FILES = 4;
/** Does not compress, so that a version has several records. */
const NOISE_BYTES = 300_000;

const [path, run] = process.argv.slice(2);
if (path === undefined || run === undefined) throw new Error('usage: policy-writer.ts PATH RUN');

const { policies } = await openPolicyFile(path);
for (let n = 0; ; n++) {
  const text = `${run}.${n}`;
  const noise = randomBytes(NOISE_BYTES).toString('latin1');
  const files = Array.from({ length: FILES }, (_, at) =>
    policyFile(`f${at}.yaml`, Buffer.from(`${text}\n${noise}`, 'latin1')),
  );
  const expected = await policies.latest();
  writeSync(1, `try ${text}\n`);
  const { version } = await policies.apply({
    files,
    expected,
    author: { kind: 'user', uid: 0 },
    claimedAuthor: '',
    reason: text,
    digest: '0'.repeat(64),
    rules: 0,
    skippedTests: false,
  });
  writeSync(1, `ack ${version.version} ${text}\n`);
  if (n % 5 === 4) await policies.prune(3);
}
