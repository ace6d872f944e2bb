import { describe, expect, it } from 'vitest';
import { FakeClock, settle } from '../../test/fakes/fake-clock.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { raceInTurn } from './race-in-turn.ts';

/** Attempts that the test settles, and which of them have begun. */
function attempts(count: number) {
  const gates = Array.from({ length: count }, () => Promise.withResolvers<string>());
  const begun: number[] = [];
  const each = gates.map((gate, index) => () => {
    begun.push(index);
    return gate.promise;
  });
  return { gates, begun, each };
}

describe('attempts in turn', () => {
  it('begin one after the other while those before are silent, and the first to succeed wins', async () => {
    const clock = new FakeClock();
    const { gates, begun, each } = attempts(3);
    const race = raceInTurn(clock, 500, each);
    expect(begun).toEqual([0]);
    clock.advance(500);
    expect(begun).toEqual([0, 1]);
    gates[0]?.resolve('first');
    await expect(race).resolves.toBe('first');
    clock.advance(5_000);
    expect(begun).toEqual([0, 1]);
    expect(clock.timers).toBe(0);
  });

  it('begin at once when the one before has failed', async () => {
    const clock = new FakeClock();
    const { gates, begun, each } = attempts(3);
    const race = raceInTurn(clock, 500, each);
    gates[0]?.reject(new Error('down'));
    await settle();
    expect(begun).toEqual([0, 1]);
    gates[1]?.resolve('second');
    await expect(race).resolves.toBe('second');
    expect(clock.timers).toBe(0);
  });

  it('fail with what one said that answered, rather than with silence', async () => {
    const clock = new FakeClock();
    const { gates, each } = attempts(2);
    const race = raceInTurn(clock, 500, each);
    gates[0]?.reject(new TrustplaneError('ERR_NODE_UNREACHABLE', 'silent'));
    gates[1]?.reject(new TrustplaneError('ERR_NODE_SERVER', 'another'));
    await expect(race).rejects.toMatchObject({ code: 'ERR_NODE_SERVER' });
    await expect(raceInTurn(clock, 500, [])).rejects.toMatchObject({ code: 'ERR_INTERNAL' });
  });
});
