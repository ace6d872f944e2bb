import { expect, it } from 'vitest';
import { findShort, type ReplicaState } from './jetstream-audit.ts';

const copy = (server: string, revision: number, messages: number): ReplicaState => ({
  stream: 'KV_a',
  server,
  isLeader: server === 'n1',
  revision,
  messages,
});

it('finds the copies that have fewer records at the same revision', () => {
  const copies = [copy('n1', 9, 5), copy('n2', 9, 7), copy('n3', 9, 7)];
  expect(findShort(copies)).toEqual([{ ...copies[0], fuller: 'n2', lost: 2 }]);
});

it('says nothing of copies that are elsewhere, or of other streams', () => {
  expect(findShort([copy('n1', 9, 5), copy('n2', 8, 7)])).toEqual([]);
  expect(findShort([copy('n1', 9, 5), { ...copy('n2', 9, 7), stream: 'KV_b' }])).toEqual([]);
  expect(findShort([])).toEqual([]);
});
