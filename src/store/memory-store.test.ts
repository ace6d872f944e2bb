import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { describeStore } from '../../test/suites/store-suite.ts';
import { createMemoryStore } from './memory-store.ts';

describeStore('memory', async () => {
  const clock = new FakeClock();
  const store = createMemoryStore({ clock });
  return { store, clock, reopen: undefined, dispose: () => store.close() };
});
