import { expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { NoAnswerError } from './jetstream-errors.ts';
import { withPatience } from './jetstream-patience.ts';

async function attemptsUntilOver(stepMs: number): Promise<number> {
  const clock = new FakeClock();
  let elapsedMs = 0;
  let attempts = 0;
  const stepped = {
    now: () => clock.now() + elapsedMs,
    setTimer(ms: number, fire: () => void) {
      elapsedMs += ms + (attempts === 1 ? stepMs : 0);
      queueMicrotask(fire);
      return { cancel() {} };
    },
  };
  const work = withPatience(stepped, 'the stream', () => {
    if (++attempts > 1_000) throw new Error('without end');
    throw new NoAnswerError('nobody is there', false);
  });
  await expect(work).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE' });
  return attempts;
}

it('is patient for as long as an election takes', async () => {
  expect(await attemptsUntilOver(0)).toBeGreaterThan(15);
});

it.each([-3_600_000, -60_000, 3_600_000])(
  'does not wait for a clock set by %i ms',
  async (stepMs) => {
    expect(await attemptsUntilOver(stepMs)).toBe(2);
  },
);

it('bears a clock that is set a little', async () => {
  expect(await attemptsUntilOver(-5_000)).toBeLessThan(60);
});
