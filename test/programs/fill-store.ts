/**
 * Fills the disk of the first argument through a store until it refuses, makes room, goes on, and
 * opens it again. Prints what happened as one line of JSON.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../src/ops/system-clock.ts';
import { TrustplaneError } from '../../src/spiffe/errors.ts';
import { TrustDomain } from '../../src/spiffe/trust-domain.ts';
import { openSqliteStore, type Store } from '../../src/store/index.ts';

const VALUE = Buffer.alloc(50_000, 'x');

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error('usage: fill-store.ts FOLDER');
const path = join(folder, 'store.db');
const ballast = join(folder, 'ballast');
writeFileSync(ballast, Buffer.alloc(10_000_000));

const store = await open();
const entries = store.bucket('entries');
const acknowledged: string[] = [];
let refusal: unknown;
for (let i = 0; refusal === undefined; i++) refusal = await attempt(`before${i}`);
const again = await attempt('again');
const whileFull = (await entries.list('')).records.length;
rmSync(ballast);
const afterwards = await attempt('afterwards');
await store.close();

const reopened = await open();
const { records } = await reopened.bucket('entries').list('');
await reopened.close();
const kept = records.filter(({ value }) => VALUE.equals(value)).map(({ key }) => key);
console.log(
  JSON.stringify({
    refusals: [refusal, again],
    isAllThereWhileFull: whileFull === acknowledged.length - 1,
    afterwards: afterwards ?? 'written',
    isAllThereAfterwards: kept.sort().join() === acknowledged.sort().join(),
    written: acknowledged.length > 10 ? 'many' : acknowledged.length,
  }),
);

async function open(): Promise<Store> {
  const trustDomain = TrustDomain.parse('example.org');
  return await openSqliteStore({ path, trustDomain, clock: systemClock });
}

/** The code of the refusal; undefined when it was written. */
async function attempt(key: string): Promise<unknown> {
  try {
    await entries.put(key, VALUE);
    acknowledged.push(key);
    return undefined;
  } catch (error) {
    return error instanceof TrustplaneError ? error.code : error;
  }
}
