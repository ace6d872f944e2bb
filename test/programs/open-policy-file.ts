import { randomBytes } from 'node:crypto';
import { createMetrics, silentLog, systemClock } from '../../src/ops/index.ts';
import { PolicyRegistry } from '../../src/policies/index.ts';
import { TrustDomain } from '../../src/spiffe/index.ts';
import { openSqliteStore, type Store } from '../../src/store/index.ts';

/** The policies of `example.org` in a file of SQLite. */
export interface PolicyFileStore {
  readonly store: Store;
  readonly policies: PolicyRegistry;
}

/** Both are to be closed, the policies first. */
export async function openPolicyFile(path: string): Promise<PolicyFileStore> {
  const trustDomain = TrustDomain.parse('example.org');
  const store = await openSqliteStore({ path, trustDomain, clock: systemClock });
  const policies = await PolicyRegistry.load({
    bucket: store.bucket('policies'),
    clock: systemClock,
    randomBytes,
    log: silentLog,
    metrics: createMetrics(),
  });
  return { store, policies };
}
