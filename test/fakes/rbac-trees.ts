import { parseIpRange } from '../../src/authz/ip-range.ts';
import type { Matcher, MatchInput, Predicate, ValueMatch } from '../../src/authz/rbac/index.ts';

const texts: readonly ValueMatch[] = [
  { kind: 'exact', text: 'spiffe://example.org/ü' },
  { kind: 'exact', text: 'get', ignoreCase: true },
  { kind: 'prefix', text: '/v1/' },
  { kind: 'regex', regex: 'spiffe://[^/,]+/[^/,]+' },
];

const ranges: ValueMatch = {
  kind: 'ip',
  ranges: ['10.8.0.0/16', '192.0.2.7', 'fd00::/8', '::/0', '0.0.0.0/0'].map(parseIpRange),
};

const claims: readonly Predicate[] = texts.flatMap((match) =>
  [true, false].map(
    (isContained): Predicate => ({
      kind: 'claim',
      namespace: 'envoy.filters.http.jwt_authn',
      path: ['jwt_payload', 'groups'],
      match,
      isContained,
    }),
  ),
);

/** A tree with each kind of node that the target may have. */
export function treeOfAll(target: 'http' | 'network'): Matcher {
  const http: readonly MatchInput[] = [
    { kind: 'path' },
    { kind: 'serial' },
    { kind: 'header', name: ':method' },
    { kind: 'header', name: 'x-tenant' },
  ];
  const inputs: readonly MatchInput[] = [
    { kind: 'uri-san' },
    { kind: 'destination-port' },
    ...(target === 'http' ? http : []),
  ];
  const values = inputs.flatMap((input) => texts.map((match) => valueIs(input, match)));
  const addresses = (['source-ip', 'destination-ip'] as const).map((kind) =>
    valueIs({ kind }, ranges),
  );
  const of = valueIs({ kind: 'uri-san' }, { kind: 'prefix', text: 'spiffe://' });
  const all: readonly Predicate[] = [...values, ...addresses, { kind: 'not', of }];
  const more: readonly Predicate[] =
    target === 'http' ? [...claims, { kind: 'no-client-certificate' }] : [];
  const predicates = [...all, ...more];
  return {
    kind: 'list',
    entries: [
      { when: { kind: 'or', all: predicates }, then: maps(inputs) },
      { when: { kind: 'and', all: predicates }, then: action('all', 'DENY') },
      { when: { kind: 'and', all: [of] }, then: action('one', 'ALLOW') },
    ],
    otherwise: action('no_rule_matched', 'DENY'),
  };
}

function maps(inputs: readonly MatchInput[]): Matcher {
  return inputs.reduce<Matcher>(
    (otherwise, input, at): Matcher => ({
      kind: 'map',
      by: at % 2 === 0 ? 'exact' : 'prefix',
      input,
      entries: new Map([
        ['/v1', action('first', 'ALLOW')],
        ['7', otherwise],
      ]),
      otherwise: at === 1 ? undefined : otherwise,
    }),
    action('last', 'DENY'),
  );
}

function valueIs(input: MatchInput, match: ValueMatch): Predicate {
  return { kind: 'value', input, match };
}

function action(name: string, kind: 'ALLOW' | 'DENY'): Matcher {
  return { kind: 'action', name, action: kind };
}

/** A tree of so many rules, as large as those of policies are. */
export function treeOfRules(count: number): Matcher {
  const rules = Array.from({ length: count }, (_, at): [string, Matcher] => [
    `spiffe://example.org/ns/team-${at % 97}/sa/service-${at}`,
    {
      kind: 'map',
      by: 'exact',
      input: { kind: 'header', name: ':method' },
      entries: new Map([
        [
          'GET',
          {
            kind: 'map',
            by: 'prefix',
            input: { kind: 'path' },
            entries: new Map([[`/v1/things-${at}/`, action(`team/rule-${at}`, 'ALLOW')]]),
            otherwise: undefined,
          },
        ],
      ]),
      otherwise: undefined,
    },
  ]);
  const entries = new Map(rules);
  const otherwise = action('no_rule_matched', 'DENY');
  return { kind: 'map', by: 'exact', input: { kind: 'uri-san' }, entries, otherwise };
}
