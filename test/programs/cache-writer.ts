/**
 * Keeps SVIDs and facts in the agent's cache in the folder of the first argument until it is killed;
 * `ack ENTRY PROFILE` on standard output once an SVID is durable, `facts REVISION` for facts.
 */
import { randomBytes } from 'node:crypto';
import { writeSync } from 'node:fs';
import path from 'node:path';
import { openSealedCache } from '../../src/node/sealed-cache.ts';
import { createMetrics, silentLog, systemClock } from '../../src/ops/index.ts';
import { TrustDomain } from '../../src/spiffe/index.ts';
import { fakeFacts, fakeKeptSvid } from '../fakes/cache-place.ts';
import { fakeEntry } from '../fakes/fake-entitlements.ts';

const WRITERS = 8;
const SVIDS_PER_WRITER = 10;

const [folder, run] = process.argv.slice(2);
if (folder === undefined || run === undefined) throw new Error('usage: cache-writer.ts FOLDER RUN');

const cache = await openSealedCache({
  trustDomain: TrustDomain.parse('a.test'),
  dataDir: path.join(folder, 'data'),
  keyFile: path.join(folder, 'key'),
  credentialsFolder: undefined,
  clock: systemClock,
  log: silentLog,
  metrics: createMetrics(),
  random: randomBytes,
});
await cache.load();
writeSync(1, 'open\n');
await Promise.all([
  saveFactsForever(),
  ...Array.from({ length: WRITERS }, (_, writer) => saveForever(writer)),
]);

async function saveForever(writer: number): Promise<never> {
  for (let n = 0; ; n++) {
    const entryId = `w${writer}-${n % SVIDS_PER_WRITER}`;
    const profile = `${run}-${n}`;
    writeSync(1, `try ${entryId} ${profile}\n`);
    await cache.saveSvid(entryId, { ...fakeKeptSvid(entryId), profile });
    writeSync(1, `ack ${entryId} ${profile}\n`);
  }
}

async function saveFactsForever(): Promise<never> {
  const entries = Array.from({ length: 20 }, (_, index) => fakeEntry(`e${index}`));
  for (let revision = 0; ; revision++) {
    const hint = `${run}-${revision}`;
    const facts = fakeFacts(entries.map((entry) => ({ ...entry, hint })));
    await cache.saveFacts(facts, { epoch: `run-${run}`, revision, digest: '00'.repeat(32) });
    writeSync(1, `facts ${hint}\n`);
  }
}
