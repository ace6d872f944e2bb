import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { describeStore } from '../../test/suites/store-suite.ts';
import { TrustDomain } from '../spiffe/trust-domain.ts';
import { openSqliteStore } from './sqlite-store.ts';
import type { Store } from './store.ts';

const trustDomain = TrustDomain.parse('example.org');

describeStore('SQLite', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'trustplane-store-'));
  const clock = new FakeClock();
  const open = (): Promise<Store> =>
    openSqliteStore({ path: join(folder, 'store.db'), trustDomain, clock });
  let store = await open();
  return {
    store,
    clock,
    async reopen() {
      await store.close();
      store = await open();
      return store;
    },
    async dispose() {
      await store.close();
      rmSync(folder, { recursive: true });
    },
  };
});
