import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Document, isCollection, isMap, isScalar, visit } from 'yaml';
import { formatPolicy } from '../../src/app/format-policy.ts';
import { canonicalText } from '../../src/authz/index.ts';
import { readPolicy } from '../../src/policies/texts/index.ts';

const WEB = 'spiffe://prod.example/ns/shop/sa/web';
const some = <T>(...values: readonly T[]) => fc.constantFrom(...values);
const list = <T>(one: fc.Arbitrary<T>) => fc.array(one, { minLength: 1, maxLength: 4 });

const operation = fc.oneof(
  some('GET /a', '/v1/{tenant}/**', 'ANY /x/*', 'PUT /a/{b}'),
  fc.record(
    { paths: list(some('/a', '/b/{c}')), methods: list(some('GET', 'PUT')), port: some(80) },
    { requiredKeys: ['paths'] },
  ),
);
const rule = fc.record(
  {
    allow: list(operation),
    from: fc.oneof(
      some<unknown>('anyone', ['$web'], ['spiffe://a/{tenant}/x']),
      fc.record({ except: fc.constant([WEB]), ids: fc.constant(['$web']) }),
    ),
    log: some('always'),
    when: fc.record(
      {
        time: some({ until: '2027-01-01T00:00:00Z', from: '2026-01-01T00:00:00Z' }),
        'source.ip': some(['10.0.0.0/8', '::1']),
        headers: some({ 'x-b': { values: 'some', pattern: '*: # x' }, 'x-a': ['a', "it's"] }),
      },
      { requiredKeys: ['source.ip'] },
    ),
  },
  { requiredKeys: ['allow', 'from'] },
);
const policy = fc.record(
  {
    tests: list(some({ expect: 'deny', request: 'GET /zzz', as: WEB })),
    rules: list(rule).map((rules) => rules.map((one, at) => ({ ...one, id: `r${at}` }))),
    kind: some('Policy'),
    service: some('spiffe://prod.example/api'),
    apiVersion: some('trustplane/v1'),
    metadata: some({ owner: 'a: b', name: 'p' }),
    sets: some({ web: [WEB], app: [WEB] }),
    mode: some({ percent: 10, stage: 'canary' }),
  },
  { requiredKeys: ['rules', 'kind', 'service', 'apiVersion', 'metadata', 'sets', 'tests'] },
);

/** A policy in one of the ways there are to write it, with comments anywhere. */
function write(value: object, choose: () => number): string {
  const document = new Document(JSON.parse(JSON.stringify(value)));
  let count = 0;
  const comment = () => ` note ${count++} # {x}: [`;
  visit(document, {
    Node: (_, node) => {
      if (isCollection(node)) {
        node.flow = choose() % 3 === 0;
        if (isMap(node)) node.items.sort(() => (choose() % 2 === 0 ? 1 : -1));
      }
      if (isScalar(node) && choose() % 4 === 0) node.type = 'QUOTE_DOUBLE';
      if (choose() % 6 === 0) node.commentBefore = comment();
      if (choose() % 6 === 0) node.comment = comment();
      if (choose() % 6 === 0) node.spaceBefore = true;
    },
  });
  if (choose() % 4 === 0) document.commentBefore = comment();
  if (choose() % 4 === 0) document.comment = comment();
  return document.toString({ lineWidth: 60 });
}

it('formats every policy, with its meaning and all of its comments, once and for all', () => {
  fc.assert(
    fc.property(policy, fc.infiniteStream(fc.nat(11)), (value, stream) => {
      const text = write(value, () => stream.next().value ?? 0);
      const formatted = formatPolicy('p.yaml', Buffer.from(text));
      expect(formatPolicy('p.yaml', Buffer.from(formatted))).toBe(formatted);
      const [before, after] = [text, formatted].map((one) =>
        canonicalText([readPolicy({ name: 'p.yaml', bytes: Buffer.from(one) }).policy]),
      );
      expect(after).toBe(before);
      const notes = (one: string) => new Set(one.match(/# note \d+ /gu));
      expect(notes(formatted)).toEqual(notes(text));
    }),
    { numRuns: 60 },
  );
});
