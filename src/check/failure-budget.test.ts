import { expect, it } from 'vitest';
import { FailureBudget } from './failure-budget.ts';

it('refuses a source that has spent its share, until some of it came back', () => {
  const budget = new FailureBudget({ perSource: 2, inAll: 100 });
  budget.spend('a', 0);
  expect(budget.isOpenTo('a', 0)).toBe(true);
  budget.spend('a', 0);
  expect(budget.isOpenTo('a', 0)).toBe(false);
  expect(budget.isOpenTo('b', 0)).toBe(true);
  expect(budget.isOpenTo('a', 499)).toBe(false);
  expect(budget.isOpenTo('a', 500)).toBe(true);
});

it('refuses those that failed of late, and no others, when the share of all is spent', () => {
  const budget = new FailureBudget({ perSource: 2, inAll: 3 });
  for (const source of ['a', 'b', 'c']) budget.spend(source, 0);
  expect(budget.isOpenTo('a', 0)).toBe(false);
  expect(budget.isOpenTo('d', 0)).toBe(true);
  expect(budget.isOpenTo('a', 400)).toBe(true);
});

it('is not confused by a clock that goes back', () => {
  const budget = new FailureBudget({ perSource: 1, inAll: 3 });
  budget.spend('a', 10_000);
  expect(budget.isOpenTo('a', 0)).toBe(false);
  expect(budget.isOpenTo('a', 1_000)).toBe(true);
});

it('forgets the oldest of very many sources', () => {
  const budget = new FailureBudget({ perSource: 1, inAll: 100_000 });
  for (let source = 0; source <= 4_096; source++) budget.spend(`${source}`, 0);
  expect(budget.isOpenTo('0', 0)).toBe(true);
  expect(budget.isOpenTo('1', 0)).toBe(false);
});
