import { expect, it } from 'vitest';
import { createMetrics } from './metrics.ts';

it('a gauge that is read at each scrape shows what there is then, and nothing of before', async () => {
  const metrics = createMetrics();
  let values: readonly (readonly [string, number])[] = [
    ['a', 1],
    ['b', 2],
  ];
  metrics.readGauge(
    'trustplane_test_things',
    'Things.',
    (set) => {
      for (const [kind, value] of values) set({ kind }, value);
    },
    ['kind'],
  );
  expect(await metrics.render()).toContain(
    'trustplane_test_things{kind="a"} 1\ntrustplane_test_things{kind="b"} 2\n',
  );
  values = [['b', 3]];
  const text = await metrics.render();
  expect(text).toContain('trustplane_test_things{kind="b"} 3\n');
  expect(text).not.toContain('kind="a"');
});
