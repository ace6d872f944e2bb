import { expect, it } from 'vitest';
import type { Matcher, MatchInput, Predicate } from '../authz/rbac/index.ts';
import { findBlamed } from './find-blamed.ts';

const path: MatchInput = { kind: 'path' };
const action = (name: string): Matcher => ({ kind: 'action', name, action: 'ALLOW' });
const glob = (regex: string, name: string): Matcher => {
  const when: Predicate = { kind: 'value', input: path, match: { kind: 'regex', regex } };
  return { kind: 'list', entries: [entryOf(when, action(name))], otherwise: undefined };
};
const entryOf = (when: Predicate, tree: Matcher) =>
  Object.assign({ when }, { ['then' as const]: tree });
const tree: Matcher = {
  kind: 'map',
  by: 'prefix',
  input: path,
  entries: new Map([
    ['/a', glob('/a/[^/]+', 'a')],
    ['/invoices/', action('invoices')],
  ]),
  otherwise: glob('/b/.*', 'b'),
};

it.each([
  ["regex '/a/[^/]+' RE2 program size of 12 > max program size of 10", ['a']],
  ['duplicate key "/invoices/"', ['invoices']],
  ['the action "b" is unknown', ['b']],
  ['a proto constraint fails', []],
])('names what is refused: %s', (refusal, names) => {
  expect([...findBlamed([tree], refusal)]).toEqual(names);
});
