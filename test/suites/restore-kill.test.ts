import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/app/load-config.ts';
import { placeRestored } from '../../src/app/restored-state.ts';
import { databaseFile } from '../../src/app/state-files.ts';
import { writeBackup } from '../../src/backup/index.ts';
import { FactJournal, keepStore } from '../../src/journal/index.ts';
import { createMetrics, openDataDir, silentLog, systemClock } from '../../src/ops/index.ts';
import { TrustDomain } from '../../src/spiffe/index.ts';
import { createMemoryStore, openSqliteStore } from '../../src/store/index.ts';
import { createRunFolder } from '../programs/run-folder.ts';

const RESTORE = fileURLToPath(new URL('../programs/restore-state.ts', import.meta.url));
const KILLS = Number(process.env['KILLS'] ?? 8);
const RECORDS = 400;
const trustDomain = TrustDomain.parse('a.test');

describe(`a restore that is killed (KILLS=${KILLS})`, () => {
  const folder = createRunFolder();
  const dataDir = path.join(folder.path, 'data');
  const { config } = loadConfig({ dataDir, trustDomain: 'a.test' }, process.getuid?.() ?? 0, {});
  afterAll(() => folder.remove());

  it(
    'leaves what was there, or all of what was to be',
    async () => {
      const backups = [await makeBackup('one'), await makeBackup('two')];
      let former = await restore(backups[0] ?? '', Number.POSITIVE_INFINITY);
      const outcomes = new Set<string>();
      for (let run = 0; run < KILLS; run++) {
        const next = former === 'one' ? 'two' : 'one';
        const found = await restore(
          backups[next === 'one' ? 0 : 1] ?? '',
          150 + Math.random() * 1_500,
        );
        expect([former, next]).toContain(found);
        outcomes.add(found === former ? 'former' : 'next');
        former = found;
      }
      expect(outcomes.size).toBeGreaterThan(0);
    },
    30_000 + KILLS * 10_000,
  );

  /** Which state is there after a restore that was killed after `ms`. */
  async function restore(file: string, ms: number): Promise<string> {
    const child = spawn(process.execPath, [RESTORE, dataDir, file], { stdio: 'inherit' });
    const timer = Number.isFinite(ms) ? setTimeout(() => child.kill('SIGKILL'), ms) : undefined;
    await once(child, 'exit');
    clearTimeout(timer);
    const held = openDataDir(dataDir);
    await placeRestored(config);
    const store = await openSqliteStore({
      path: databaseFile(config),
      trustDomain,
      clock: systemClock,
    });
    const { records } = await store.bucket('policies').list('');
    await store.close();
    held.close();
    const values = new Set(records.map(({ value }) => Buffer.from(value).toString()));
    expect(records).toHaveLength(RECORDS);
    expect(values.size).toBe(1);
    return [...values][0] ?? '';
  }

  async function makeBackup(value: string): Promise<string> {
    const file = path.join(folder.path, value);
    const common = { clock: systemClock, log: silentLog, metrics: createMetrics() };
    const store = createMemoryStore(common);
    const journal = await FactJournal.open({
      path: `${file}.journal`,
      trustDomain: 'a.test',
      ...common,
    });
    const era = value === 'one' ? '1111111111111111' : '2222222222222222';
    const kept = await keepStore({ store, journal, rules: [], makeEra: () => era, ...common });
    for (let n = 0; n < RECORDS; n++)
      await store.bucket('policies').put(`k${n}`, Buffer.from(value));
    const chunks: Uint8Array[] = [];
    const source = {
      store,
      journal,
      trustDomain,
      serverVersion: '1',
      serverId: 'local',
      clock: systemClock,
    };
    for await (const chunk of writeBackup(source)) chunks.push(chunk);
    writeFileSync(file, Buffer.concat(chunks));
    await kept.close();
    await journal.close();
    return file;
  }
});
