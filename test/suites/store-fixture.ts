import type { Store } from '../../src/store/index.ts';
import type { FakeClock } from '../fakes/fake-clock.ts';

/** An empty store under test. */
export interface StoreFixture {
  readonly store: Store;
  readonly clock: FakeClock;
  /** The same records in a store opened anew; undefined when they die with the store. */
  readonly reopen: (() => Promise<Store>) | undefined;
  /** Closes the store and removes what it left. */
  dispose(): Promise<void>;
}
