import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  type AccessRequest,
  type Decision,
  decide,
  openPlan,
  type Policy,
  packPlan,
  packPolicy,
  policySchema,
  unpackPolicy,
} from '../../src/authz/index.ts';
import { requestOf } from '../fakes/test-policies.ts';

/** A rule as an author writes it, and as the oracle below reads it. */
interface Rule {
  readonly from:
    | 'authenticated'
    | 'anyone'
    | { ids: readonly string[]; except?: readonly string[] };
  readonly isAllow: boolean;
  readonly operations: readonly {
    readonly methods?: readonly string[];
    readonly paths?: readonly string[];
    readonly hosts?: readonly string[];
    readonly port?: readonly number[];
  }[];
  readonly time?: { readonly from: number; readonly until: number };
  readonly ticket?: readonly string[];
}

interface Document {
  readonly service: string;
  readonly isObserved: boolean;
  readonly rules: readonly Rule[];
}

const td = 'spiffe://prod.example';
const sets: Readonly<Record<string, readonly string[]>> = {
  some: [`${td}/a`, `${td}/b/*`],
  many: ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => `${td}/${name}/${name}`),
};

const literal = fc.constantFrom('a', 'b');
const part = fc.oneof(literal, fc.constantFrom('*', 'a*', '*b', '{x}'));
const path = fc
  .tuple(fc.array(part, { minLength: 1, maxLength: 5 }), fc.boolean())
  .map(([parts, isOpen]) => `/${[...parts, ...(isOpen ? ['**'] : [])].join('/')}`)
  .filter((text) => (text.match(/\{x\}/gu)?.length ?? 0) <= 1);
const id = fc.oneof(
  path.map((text) => `${td}${text.replace('{x}', '*')}`),
  fc.constantFrom('$some', '$many'),
);
const host = fc.constantFrom('a.b', '*.b', '**.b', 'a.*', '**', 'a*.b.a');
const few = <T>(one: fc.Arbitrary<T>, maxLength: number) =>
  fc.array(one, { minLength: 1, maxLength });

const operation = fc
  .record(
    {
      methods: few(fc.constantFrom('GET', 'POST'), 2),
      paths: few(path, 3),
      hosts: few(host, 2),
      port: few(fc.constantFrom(80, 443), 2),
    },
    { requiredKeys: [] },
  )
  .filter((fields) => Object.keys(fields).length > 0);
const rule: fc.Arbitrary<Rule> = fc.record(
  {
    from: fc.oneof(
      fc.constantFrom('authenticated' as const, 'anyone' as const),
      fc.record({ ids: few(id, 7), except: few(id, 2) }, { requiredKeys: ['ids'] }),
    ),
    isAllow: fc.boolean(),
    operations: few(operation, 3),
    time: fc.record({ from: fc.constantFrom(0, 1000), until: fc.constantFrom(2000, 5000) }),
    ticket: few(fc.constantFrom('INC-*', '~x', 'a'), 2),
  },
  { requiredKeys: ['from', 'isAllow', 'operations'] },
);
const document: fc.Arbitrary<Document> = fc.record({
  service: fc.constantFrom(`${td}/api`, `${td}/*`, `${td}/**`, `${td}/other`, 'named', '~named'),
  isObserved: fc.boolean(),
  rules: few(rule, 12),
});

const concrete = fc.array(literal, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/'));
const request = fc
  .record({
    line: fc.oneof(
      fc.tuple(fc.constantFrom('GET', 'POST'), concrete).map((parts) => parts.join(' /')),
      fc.constant('tcp'),
    ),
    as: fc.oneof(
      concrete.map((text) => `${td}/${text}`),
      fc.constant('none'),
    ),
    host: fc.constantFrom(undefined, 'a.b', 'b', 'x.a.b', 'a.c', 'ab.b.a'),
    destinationPort: fc.constantFrom(undefined, 80, 443),
    ticket: fc.constantFrom(undefined, ['INC-1'], ['INC-1', 'b'], ['~x'], ['a']),
    now: fc.constantFrom(0, 1500, 3000),
    service: fc.constantFrom(
      { spiffeId: `${td}/api` },
      { contextExtension: 'named' },
      { contextExtension: '~named' },
      { spiffeId: `${td}/api`, contextExtension: 'named' },
      {},
    ),
  })
  .map(({ line, ticket, host, ...asked }) =>
    requestOf(line, {
      ...asked,
      ...(host !== undefined && { host }),
      headers: ticket === undefined ? {} : { 'x-ticket': ticket },
    }),
  );

function policyFrom({ service, isObserved, rules }: Document, name: string): Policy {
  return policySchema.parse({
    apiVersion: 'trustplane/v1',
    kind: 'Policy',
    metadata: { name },
    service: service.startsWith('spiffe:') ? service : { contextExtension: service },
    sets,
    ...(isObserved && { mode: { stage: 'observe' } }),
    rules: rules.map(({ from, isAllow, operations, time, ticket }, at) => ({
      id: `r${String(at).padStart(2, '0')}`,
      from,
      [isAllow ? 'allow' : 'deny']: operations,
      ...((time ?? ticket) !== undefined && {
        when: {
          ...(time && { time: { from: date(time.from), until: date(time.until) } }),
          ...(ticket && { headers: { 'x-ticket': ticket } }),
        },
      }),
    })),
  });
}

const date = (at: number): string => new Date(at).toISOString();

/** Decides by looking at every rule in turn. */
function decideSlowly(documents: readonly Document[], asked: AccessRequest): object {
  const meant = documents
    .map((one, at) => ({ ...one, name: `p${at}` }))
    .filter(({ service }) => isService(service, asked.service));
  if (meant.length === 0) return { reason: 'policy_missing' };
  const matching = meant.flatMap(({ isObserved, rules, name }) =>
    rules.flatMap((one, at) =>
      ruleMatches(one, asked)
        ? [{ isObserved, isAllow: one.isAllow, policy: name, ruleId: ruleIdOf(at) }]
        : [],
    ),
  );
  const enforced = matching.filter(({ isObserved }) => !isObserved);
  const deny = enforced.find(({ isAllow }) => !isAllow);
  const [first] = enforced;
  const isKnown = typeof asked.caller !== 'string';
  const observed = matching
    .filter(({ isObserved }) => isObserved)
    .map(({ policy, ruleId }) => `${policy}/${ruleId}`);
  const by = deny ?? first;
  if (by === undefined)
    return { reason: isKnown ? 'no_rule_matched' : 'unauthenticated', observed };
  const { policy, ruleId } = by;
  return { reason: by === deny ? 'denied_by_rule' : 'allowed_by_rule', policy, ruleId, observed };
}

const ruleIdOf = (at: number): string => `r${String(at).padStart(2, '0')}`;

function isService(wanted: string, asked: AccessRequest['service']): boolean {
  if (!wanted.startsWith('spiffe:')) return asked.contextExtension === wanted;
  return asked.spiffeId !== undefined && fits(wanted, asked.spiffeId, '/');
}

function ruleMatches({ from, isAllow, operations, time, ticket }: Rule, asked: AccessRequest) {
  const caller = typeof asked.caller === 'string' ? undefined : asked.caller.toString();
  const among = (ids: readonly string[]): boolean =>
    ids
      .flatMap((one) => (one.startsWith('$') ? (sets[one.slice(1)] ?? []) : [one]))
      .some((one) => caller !== undefined && fits(one, caller, '/'));
  const isMeant =
    from === 'anyone' ||
    (from === 'authenticated'
      ? caller !== undefined
      : among(from.ids) && !among(from.except ?? []));
  if (!isMeant) return false;
  if (time !== undefined && (asked.now < time.from || asked.now >= time.until)) return false;
  if (ticket !== undefined) {
    const test = (line: string) => ticket.some((one) => fits(one, line, ''));
    const lines = asked.http?.headers('x-ticket') ?? [];
    if (lines.length === 0 || !(isAllow ? lines.every(test) : lines.some(test))) return false;
  }
  return operations.some(({ methods, paths, hosts, port }) => {
    const { method, target, host } = asked.http ?? {};
    const { destinationPort } = asked;
    return (
      (methods === undefined || (method !== undefined && methods.includes(method))) &&
      (paths === undefined ||
        (target !== undefined && paths.some((one) => fits(one, target, '/')))) &&
      (hosts === undefined || (host !== undefined && hosts.some((one) => fits(one, host, '.')))) &&
      (port === undefined || (destinationPort !== undefined && port.includes(destinationPort)))
    );
  });
}

function fits(pattern: string, value: string, separator: '/' | '.' | ''): boolean {
  const inner = separator === '' ? '.' : `[^${separator}]`;
  const body = (text: string): string =>
    text
      .replaceAll(/\{x\}/gu, '*')
      .replaceAll(/[.+?^$()|[\]\\]/gu, String.raw`\$&`)
      .replaceAll('*', `${inner}+`);
  if (separator === '.' && pattern === '**') return value !== '';
  const source =
    separator === '/' && pattern.endsWith('/**')
      ? `${body(pattern.slice(0, -3))}(?:/.*)?`
      : separator === '.' && pattern.startsWith('**.')
        ? String.raw`(?:.*\.)?${body(pattern.slice(3))}`
        : body(pattern);
  return new RegExp(`^${source}$`, 'u').test(value);
}

const essence = ({ reason, policy, ruleId, observed }: Decision): object =>
  reason === 'policy_missing'
    ? { reason }
    : { reason, ...(ruleId !== undefined && { policy, ruleId }), observed };

it('decides as one who looks at every rule in turn, from a copy too', () => {
  fc.assert(
    fc.property(fc.array(document, { maxLength: 4 }), few(request, 6), (documents, asked) => {
      const policies = documents.map((one, at) => policyFrom(one, `p${at}`));
      const image = packPlan(policies, 'd');
      const plans = [openPlan(image), openPlan(structuredClone(image))];
      for (const one of asked)
        for (const plan of plans)
          expect(essence(decide(plan, one))).toEqual(decideSlowly(documents, one));
    }),
    { numRuns: 1_000 },
  );
});

it('is the same image whatever the order of policies and rules', () => {
  fc.assert(
    fc.property(fc.array(document, { maxLength: 4 }), (documents) => {
      const policies = documents.map((one, at) => policyFrom(one, `p${at}`));
      const turned = policies.map((one) => ({ ...one, rules: one.rules.toReversed() })).reverse();
      expect(packPlan(turned, 'd')).toEqual(packPlan(policies, 'd'));
    }),
    { numRuns: 200 },
  );
});

it('packs a policy without loss, whatever its texts look like', () => {
  const text = fc.oneof(
    fc.string({ minLength: 1, unit: 'binary' }),
    fc.constantFrom('~', '~~', '~/a', '~.a', '~ a', '\ud800', '__proto__'),
  );
  fc.assert(
    fc.property(document, text, text, (one, issuer, claim) => {
      const policy = policyFrom(one, 'p');
      const [first] = policy.rules;
      const claims = Object.fromEntries([[claim, { patterns: [], isContained: true }]]);
      const rules = [
        { ...first, id: 'r', from: 'anyone', when: { jwt: { issuer, claims } } } as const,
      ];
      const whole = { ...policy, rules };
      expect(unpackPolicy(packPolicy(whole))).toEqual(whole);
      expect(
        Object.keys(unpackPolicy(packPolicy(whole)).rules[0]?.when?.jwt?.claims ?? {}),
      ).toEqual([claim]);
    }),
    { numRuns: 300 },
  );
});
