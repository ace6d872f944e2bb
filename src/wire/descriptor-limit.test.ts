import { describe, expect, it } from 'vitest';
import { silentLog } from '../ops/index.ts';
import { affordableConnections, affordablePerUser, limitConnections } from './descriptor-limit.ts';

const limits = (soft: string): string =>
  `Limit                     Soft Limit           Hard Limit           Units     \nMax processes             1                    2                    processes \nMax open files            ${soft.padEnd(20)} 1048576              files     \n`;

describe('limitConnections', () => {
  it.each([
    [20_000, '1048576', 20_000],
    [20_000, 'unlimited', 20_000],
    [20_000, '20000', 19_488],
    [20_000, '1024', 512],
    [20_000, '64', 32],
  ])('of %d with %s descriptors allows %d', (wanted, soft, expected) => {
    expect(limitConnections(wanted, limits(soft))).toBe(expected);
  });

  it.each([
    [20_000, '1048576', 20_000],
    [20_000, '20000', 9_744],
    [20_000, '1024', 256],
  ])('of %d with %s descriptors allows %d processes', (wanted, soft, expected) => {
    expect(limitConnections(wanted, limits(soft), 2)).toBe(expected);
  });

  it('leaves a quarter to other users', () => {
    expect(affordablePerUser(8)).toBe(6);
  });

  it('reads the limit of this process', () => {
    expect(affordableConnections(3, silentLog)).toBe(3);
    expect(affordableConnections(Number.MAX_SAFE_INTEGER, silentLog)).toBeGreaterThan(3);
  });
});
