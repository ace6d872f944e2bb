import { expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { silentLog } from './log.ts';
import { createMetrics } from './metrics.ts';
import { watchClock } from './watch-clock.ts';

const START = Date.parse('2026-05-01T12:00:00Z');

it('says when the clock was set, in which direction and by how much', async () => {
  const clock = new FakeClock(START);
  const metrics = createMetrics();
  const jumps: unknown[] = [];
  let setByMs = 0;
  const log = { ...silentLog, warn: (fields: object) => jumps.push(fields) };
  const stop = watchClock({ clock, monotonic: () => clock.now() - START - setByMs, log, metrics });
  clock.advance(3_600_000);
  setByMs += 1_500;
  clock.advance(60_000);
  expect(jumps).toEqual([]);
  setByMs += 120_000;
  clock.advance(5_000);
  setByMs -= 3_000;
  clock.advance(60_000);
  expect(jumps).toEqual([{ byMs: 120_000 }, { byMs: -3_000 }]);
  const text = await metrics.render();
  expect(text).toContain('trustplane_app_clock_jumps_total{direction="forward"} 1');
  expect(text).toContain('trustplane_app_clock_jumps_total{direction="backward"} 1');
  stop();
  expect(clock.timers).toBe(0);
});
