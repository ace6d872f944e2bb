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

it('figures of another thread are shown with its own, and added where they are the same', async () => {
  const [own, other] = [createMetrics(), createMetrics()];
  for (const [metrics, kind] of [
    [own, 'a'],
    [other, 'b'],
  ] as const) {
    metrics.counter('trustplane_test_calls_total', 'Calls.', ['kind']).inc({ kind }, 2);
    const seconds = metrics.histogram('trustplane_test_seconds', 'Time.', [1], ['kind']);
    seconds.observe({ kind: 'c' }, 0.5);
  }
  const leave = own.join(async () => structuredClone(await other.figures()));
  expect(await own.render()).toBe(`# HELP trustplane_test_calls_total Calls.
# TYPE trustplane_test_calls_total counter
trustplane_test_calls_total{kind="a"} 2
trustplane_test_calls_total{kind="b"} 2

# HELP trustplane_test_seconds Time.
# TYPE trustplane_test_seconds histogram
trustplane_test_seconds_bucket{le="1",kind="c"} 2
trustplane_test_seconds_bucket{le="+Inf",kind="c"} 2
trustplane_test_seconds_sum{kind="c"} 1
trustplane_test_seconds_count{kind="c"} 2
`);
  leave();
  expect(await own.render()).not.toContain('kind="b"');
});
