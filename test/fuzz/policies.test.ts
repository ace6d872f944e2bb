import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  canonicalText,
  compilePlan,
  decide,
  type Policy,
  policySchema,
} from '../../src/authz/index.ts';
import { checkDocument, parseStrictYaml } from '../../src/ops/index.ts';
import { policyOf, requestOf } from '../fakes/test-policies.ts';
import { attempt } from './attempt.ts';

const td = 'spiffe://prod.example';
const idPattern = fc.constantFrom(
  `${td}/a`,
  `${td}/a/b`,
  `${td}/*`,
  `${td}/a/*`,
  `${td}/**`,
  `${td}/{x}/b`,
  `${td}/{x}`,
);
const exceptPattern = fc.constantFrom(`${td}/a`, `${td}/*`, `${td}/a/*`);
const pathPattern = fc.constantFrom(
  '/',
  '/a',
  '/a/b',
  '/*',
  '/a/*',
  '/**',
  '/a/**',
  '/{x}',
  '/{x}/**',
);
const operation = fc.oneof(
  fc.tuple(fc.constantFrom('GET', 'POST', 'ANY'), pathPattern).map((parts) => parts.join(' ')),
  pathPattern,
);
const rule: fc.Arbitrary<Rule> = fc.record({
  from: fc.oneof(
    fc.constantFrom('authenticated', 'anyone'),
    fc.record(
      {
        ids: fc.array(idPattern, { minLength: 1, maxLength: 6 }),
        except: fc.array(exceptPattern, { minLength: 1, maxLength: 2 }),
      },
      { requiredKeys: ['ids'] },
    ),
  ),
  operations: fc.array(operation, { minLength: 1, maxLength: 3 }),
  isAllow: fc.boolean(),
});
interface Rule {
  readonly from: string | object;
  readonly operations: readonly string[];
  readonly isAllow: boolean;
}

const rules = fc.array(rule, { minLength: 1, maxLength: 8 });
const request = fc
  .record({
    line: fc
      .tuple(
        fc.constantFrom('GET', 'POST'),
        fc.constantFrom('/', '/a', '/b', '/a/b', '/a/', '/b/b', '/a/b/a'),
      )
      .map((parts) => parts.join(' ')),
    as: fc.constantFrom('none', `${td}/a`, `${td}/b`, `${td}/a/b`, `${td}/b/b`, `${td}/a/b/a`),
  })
  .map(({ line, as }) => requestOf(line, { as }));

const built = (list: readonly Rule[], name = 'p'): Policy =>
  policyOf(
    list.map(({ from, operations, isAllow }, at) => ({
      id: `${name}-${at}`,
      from,
      [isAllow ? 'allow' : 'deny']: operations,
    })),
    { metadata: { name } },
  );
const isAllowed = (policies: readonly Policy[], asked: ReturnType<typeof requestOf>): boolean =>
  decide(compilePlan(policies, ''), asked).isAllowed;

it('decides alike whatever the order of rules and files', () => {
  fc.assert(
    fc.property(rules, rules, request, (one, other, asked) => {
      const policies = [built(one, 'p'), built(other, 'q')];
      const turned = policies
        .map((policy) => ({ ...policy, rules: policy.rules.toReversed() }))
        .reverse();
      expect(decide(compilePlan(turned, ''), asked)).toEqual(
        decide(compilePlan(policies, ''), asked),
      );
      expect(canonicalText(turned)).toBe(canonicalText(policies));
    }),
    { numRuns: 2_000 },
  );
});

it('never allows more for another deny', () => {
  fc.assert(
    fc.property(rules, rule, request, (list, more, asked) => {
      const widened = [built(list), built([{ ...more, isAllow: false }], 'q')];
      expect(!isAllowed(widened, asked) || isAllowed([built(list)], asked)).toBe(true);
    }),
    { numRuns: 2_000 },
  );
});

it('only subtracts by except', () => {
  fc.assert(
    fc.property(
      fc.array(idPattern, { minLength: 1 }),
      exceptPattern,
      operation,
      request,
      (ids, except, one, asked) => {
        const allow = (from: object) => built([{ from, operations: [one], isAllow: true }]);
        const [all, some] = [allow({ ids }), allow({ ids, except: [except] })];
        expect(!isAllowed([some], asked) || isAllowed([all], asked)).toBe(true);
      },
    ),
    { numRuns: 2_000 },
  );
});

it('decides with many rules as rule by rule: the index loses none', () => {
  fc.assert(
    fc.property(rules, request, (list, asked) => {
      const allows = list.filter(({ isAllow }) => isAllow);
      const denies = list.filter(({ isAllow }) => !isAllow);
      const one = (single: Rule): boolean =>
        isAllowed([built([{ ...single, isAllow: true }])], asked);
      const expected = allows.some(one) && !denies.some(one);
      expect(isAllowed([built(list)], asked)).toBe(expected);
    }),
    { numRuns: 2_000 },
  );
});

it('refuses any document that is no policy with an error that has a code', () => {
  const word = fc.constantFrom(
    'rules',
    'from',
    'allow',
    'id',
    '- ',
    '[',
    ']',
    '{',
    '}',
    ': ',
    '\n',
    '  ',
    '*',
    '/a',
    '$x',
    '"',
    'GET /x',
    '&a',
    '<<',
    'kind',
    'Policy',
    'null',
    '!!x',
  );
  const text = fc
    .array(fc.oneof(word, fc.string({ maxLength: 4 })), { maxLength: 40 })
    .map((parts) => parts.join(''));
  fc.assert(
    fc.property(text, (source) => {
      expect(
        attempt(() => checkDocument(parseStrictYaml(source, 'f'), policySchema)),
      ).toBeUndefined();
    }),
    { numRuns: 3_000 },
  );
});

it('never allows what is malformed', () => {
  const policy = built([{ from: 'anyone', operations: ['/a/**'], isAllow: true }]);
  const plan = compilePlan([policy], '');
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string(), (target, host) => {
      const decision = decide(plan, { ...requestOf(`GET ${target}`, { as: 'none', host }) });
      expect(!decision.isAllowed || /^\/a(?:[/?]|$)/u.test(target)).toBe(true);
      expect(decision.reason).not.toBe('internal_error');
    }),
    { numRuns: 3_000 },
  );
});
