import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { type LaunchedServer, launchServer } from '../test/programs/launch-server.ts';
import { against, type Benchmark } from './measurement.ts';
import { withTemporaryFolder } from './temporary-folder.ts';

const run = promisify(execFile);
const main = new URL('../src/cli/main.ts', import.meta.url).pathname;
const SIZES = [10_000, 100_000] as const;
const CHANGED = 1_000;
const PER_FILE = 100;
const LIMIT_S = 5;
const WHOLE_LIMIT_S = 30;

/** Of one size of a set, in seconds. */
interface Times {
  readonly entries: number;
  /** All entries are new. */
  readonly first: number;
  /** Documents of the changed entries alone. */
  readonly part: number;
  /** Documents of all entries, which are pruned too. */
  readonly whole: number;
}

/** A change of many entries that stands in documents of its own. */
export const apply1000: Benchmark = {
  name: 'apply_1000_s',
  about: `trustplane apply of ${CHANGED.toLocaleString('en')} documents that changed, with 100,000 entries at the server: process start → exit`,
  async run(report) {
    const [small, large] = await measureOnce(report);
    report(`growth from 10,000 entries: ${growth(small.part, large.part)}`);
    return against(apply1000.name, large.part, 's', LIMIT_S);
  },
};

/** The same change in the documents of all entries. */
export const apply1000Whole: Benchmark = {
  name: 'apply_1000_of_whole_s',
  about:
    'the same with the documents of all 100,000 entries and --prune: reads, plans, changes 1,000',
  async run(report) {
    const [small, large] = await measureOnce(report);
    report(`growth from 10,000 entries: ${growth(small.whole, large.whole)}`);
    return against(apply1000Whole.name, large.whole, 's', WHOLE_LIMIT_S);
  },
};

let measured: Promise<readonly [Times, Times]> | undefined;

function measureOnce(report: (progress: string) => void): Promise<readonly [Times, Times]> {
  measured ??= measureBoth(report);
  return measured;
}

async function measureBoth(report: (progress: string) => void): Promise<readonly [Times, Times]> {
  const [few, many] = SIZES;
  return [await measure(few, report), await measure(many, report)];
}

async function measure(entries: number, report: (progress: string) => void): Promise<Times> {
  return await withTemporaryFolder(async (folder) => {
    const server = await launchServer(folder, { config: 'log: { level: warn }' });
    try {
      const [all, part] = [path.join(folder, 'all'), path.join(folder, 'part')];
      await writeDocuments(all, entries, 'one');
      const first = await apply(server, all, `${entries} added`);
      await writeDocuments(part, CHANGED, 'two');
      const partTime = await apply(server, part, `${CHANGED} changed`);
      await writeDocuments(all, CHANGED, 'three');
      const whole = await apply(server, all, `${CHANGED} changed`, '--prune');
      const times = { entries, first, part: partTime, whole };
      report(
        `${entries} entries: ${first.toFixed(2)} s for all, ${partTime.toFixed(2)} s for ${CHANGED} documents, ${whole.toFixed(2)} s for ${CHANGED} changes in all documents`,
      );
      return times;
    } finally {
      await server.stop();
    }
  });
}

async function apply(
  server: LaunchedServer,
  folder: string,
  expected: string,
  ...flags: readonly string[]
): Promise<number> {
  const began = performance.now();
  const args = ['apply', '-f', folder, '--admin-socket', server.adminSocket, ...flags];
  const { stdout } = await run(process.execPath, [main, ...args], { maxBuffer: 256_000_000 });
  if (!stdout.includes(expected))
    throw new Error(`expected ${expected}; got ${stdout.slice(-500)}`);
  return (performance.now() - began) / 1_000;
}

/** The first of the documents, with that hint. */
async function writeDocuments(folder: string, count: number, hint: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (let first = 0; first < count; first += PER_FILE) {
    const some = Array.from({ length: PER_FILE }, (_, i) => documentOf(first + i, hint));
    await writeFile(path.join(folder, `${first}.yaml`), some.join('---\n'));
  }
}

function documentOf(index: number, hint: string): string {
  const [namespace, account] = [`team-${index % 500}`, `service-${index}`];
  return `apiVersion: trustplane/v1
kind: RegistrationEntry
spiffeId: spiffe://example.org/ns/${namespace}/sa/${account}
parentId: spiffe://example.org/node/${Math.floor(index / 100)}
selectors:
  - k8s:ns:${namespace}
  - k8s:sa:${account}
dnsNames: [${account}.${namespace}.svc.cluster.local]
hint: ${hint}
`;
}

function growth(small: number, large: number): string {
  return `${(large / small).toFixed(1)} times the time for 10 times the entries`;
}
