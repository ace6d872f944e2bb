import { expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { ShunnedNetworks } from './shunned-networks.ts';

it('shuns a network for a minute after its last offence, and no other', () => {
  const clock = new FakeClock();
  const networks = new ShunnedNetworks(clock);
  networks.add('192.0.2.1');
  clock.advance(30_000);
  networks.add('192.0.2.1');
  clock.advance(59_999);
  expect([networks.has('192.0.2.1'), networks.has('192.0.2.2')]).toEqual([true, false]);
  clock.advance(1);
  expect(networks.has('192.0.2.1')).toBe(false);
});

it('shuns nobody for longer when the clock is set back', () => {
  const clock = new FakeClock();
  const networks = new ShunnedNetworks(clock);
  networks.add('192.0.2.1');
  clock.jump(clock.now() - 3_600_000);
  expect(networks.has('192.0.2.1')).toBe(false);
});

it('remembers the newest 10,000', () => {
  const networks = new ShunnedNetworks(new FakeClock());
  for (let i = 0; i <= 10_000; i++) networks.add(`network ${i}`);
  expect(networks.has('network 0')).toBe(false);
  expect(networks.has('network 1')).toBe(true);
  expect(networks.has('network 10000')).toBe(true);
});
