import { copyFileSync, existsSync, rmSync } from 'node:fs';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { lastingRecords } from '../../src/app/keep-state.ts';
import { FactJournal, type KeptStore, keepStore } from '../../src/journal/index.ts';
import { createLog, createMetrics, type Metrics } from '../../src/ops/index.ts';
import { TrustDomain } from '../../src/spiffe/index.ts';
import { openSqliteStore, type Store } from '../../src/store/index.ts';
import { createRunFolder } from '../programs/run-folder.ts';
import { FakeClock } from './fake-clock.ts';

export interface OpenedState {
  readonly kept: KeptStore;
  /** Below the journal. */
  readonly store: Store;
  readonly journal: FactJournal;
  readonly metrics: Metrics;
  /** Lines of the log from level warn on. */
  readonly lines: readonly string[];
  close(): Promise<void>;
}

/** A data directory with a database and a journal, whose database can be set back to an earlier copy. */
export function keptPlace() {
  const folder = createRunFolder();
  onTestFinished(() => folder.remove());
  const clock = new FakeClock();
  const trustDomain = TrustDomain.parse('a.test');
  const files = {
    database: path.join(folder.path, 'trustplane.db'),
    journal: path.join(folder.path, 'facts.journal'),
  };
  let eras = 0;

  async function open(): Promise<OpenedState> {
    const lines: string[] = [];
    const log = createLog({ level: 'warn', destination: { write: (line) => lines.push(line) } });
    const metrics = createMetrics();
    const common = { clock, log, metrics };
    const store = await openSqliteStore({ path: files.database, trustDomain, ...common });
    const journal = await FactJournal.open({
      path: files.journal,
      trustDomain: trustDomain.name,
      ...common,
    });
    const makeEra = (): string => (++eras).toString(16).padStart(16, '0');
    const kept = await keepStore({
      store,
      journal,
      rules: lastingRecords(trustDomain),
      makeEra,
      ...common,
    });
    let isOpen = true;
    const close = async (): Promise<void> => {
      if (!isOpen) return;
      isOpen = false;
      await kept.close();
      await journal.close();
      await store.close();
    };
    onTestFinished(close);
    return { kept, store, journal, metrics, lines, close };
  }

  return {
    clock,
    trustDomain,
    folder: folder.path,
    files,
    open,
    /** Keeps a copy of the closed database. */
    save: (name: string) => copyFileSync(files.database, path.join(folder.path, name)),
    /** Puts the copy in the place of the closed database. */
    setBack(name: string): void {
      if (existsSync(`${files.database}-wal`)) throw new Error('the database was not closed');
      rmSync(files.database);
      copyFileSync(path.join(folder.path, name), files.database);
    },
  };
}
