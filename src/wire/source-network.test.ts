import { describe, expect, it } from 'vitest';
import { plainAddress, sourceNetwork } from './source-network.ts';

describe('sourceNetwork', () => {
  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::6', '2001:db8:1:2::/64'],
    ['2001:db8::6', '2001:db8:0:0::/64'],
    ['fe80::1:2:3:4%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
  ])('of %s is %s', (address, network) => {
    expect(sourceNetwork(address)).toBe(network);
  });
});

describe('plainAddress', () => {
  it('writes IPv4 in IPv6 as IPv4 and leaves the rest', () => {
    expect(['::ffff:192.0.2.7', '::1', '10.0.0.1'].map(plainAddress)).toEqual([
      '192.0.2.7',
      '::1',
      '10.0.0.1',
    ]);
  });
});
