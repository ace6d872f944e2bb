/**
 * Keeps an SVID in the cache of the first argument, fills the disk, and opens the cache again; with
 * `killed` as third argument in the state in which a process that was killed leaves it.
 */
import { randomBytes } from 'node:crypto';
import { copyFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { openSealedCache } from '../../src/node/index.ts';
import { createMetrics, silentLog, systemClock } from '../../src/ops/index.ts';
import { generateP256KeyPair, TrustDomain } from '../../src/spiffe/index.ts';

const [dataDir, keyFile, end] = process.argv.slice(2);
if (dataDir === undefined || keyFile === undefined) {
  throw new Error('usage: fill-cache-disk.ts DATA-DIR KEY-FILE [killed]');
}

const open = () =>
  openSealedCache({
    trustDomain: TrustDomain.parse('a.test'),
    dataDir,
    keyFile,
    credentialsFolder: undefined,
    clock: systemClock,
    log: silentLog,
    metrics: createMetrics(),
    random: randomBytes,
  });
const { privateKey } = generateP256KeyPair();
const [issuedAt, expiresAt] = [systemClock.now(), systemClock.now() + 3_600_000];
const svid = { certificateChain: [randomBytes(800)], privateKey, issuedAt, expiresAt, profile: '' };
const first = await open();
await first.saveSvid('before', svid);
const files = ['cache.db', 'cache.db-wal'].map((name) => path.join(dataDir, name));
if (end === 'killed') for (const file of files) copyFileSync(file, `${file}.then`);
await first.close();
if (end === 'killed') for (const file of files) renameSync(`${file}.then`, file);
try {
  writeFileSync(path.join(dataDir, 'ballast'), Buffer.alloc(8_388_608));
} catch (error) {
  console.log(error instanceof Error && 'code' in error ? error.code : error);
}
const second = await open();
console.log('kept:', (await second.load()).svids.map(({ entryId }) => entryId).join(' '));
for (let at = 0; at < 200; at++) await second.saveSvid(`after-${at}`, svid);
await second.close();
console.log('closed');
