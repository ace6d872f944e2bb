import { isAnyTrustDomain } from '../parse-patterns.ts';
import { Pattern } from '../pattern.ts';
import type { IdOrSet, Operation, Policy, PolicyRule } from '../policy.ts';
import { finding, type LintFinding } from './lint-finding.ts';

const METHODS = new Set(
  'GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK REPORT SEARCH QUERY'.split(
    ' ',
  ),
);
const REGEX = /\.\*|\\[dwsDWS.]|\[[^\]]+-[^\]]+\]|^\^|.\$$|\([^)]*\|[^)]*\)|\.\+/u;

/** Mistakes that one rule shows by itself. `now`: in milliseconds. */
export function lintRules(policy: Policy, now: number): LintFinding[] {
  const { name } = policy.metadata;
  return [
    ...policy.rules.flatMap((rule, at) => {
      const say = (
        code: LintFinding['code'],
        path: LintFinding['path'],
        message: string,
        fix: string,
      ) => finding(code, name, ['rules', at, ...path], message, fix);
      return [
        ...lintFrom(rule, say),
        ...lintOperations(rule, say),
        ...lintConditions(rule, policy, now, say),
      ];
    }),
    ...lintSets(policy),
  ];
}

type Say = (
  code: LintFinding['code'],
  path: LintFinding['path'],
  message: string,
  fix: string,
) => LintFinding;

function lintFrom({ from, allow }: PolicyRule, say: Say): LintFinding[] {
  if (typeof from === 'string') {
    if (allow === undefined) return [];
    return from === 'anyone'
      ? [
          say(
            'allow-anyone',
            ['from'],
            'lets in callers without identity',
            'list SPIFFE IDs, or write authenticated',
          ),
        ]
      : [
          say(
            'allow-authenticated',
            ['from'],
            'lets in every identity of every trust domain that is federated',
            'list SPIFFE IDs',
          ),
        ];
  }
  const ids = [...from.ids, ...(from.except ?? [])].filter((id) => id instanceof Pattern);
  const open =
    allow !== undefined && from.ids.some((id) => id instanceof Pattern && isAnyTrustDomain(id));
  return [
    ...(open
      ? [
          say(
            'any-trust-domain',
            ['from'],
            'lets in callers of any trust domain, of partners too',
            'write the trust domains out',
          ),
        ]
      : []),
    ...ids.flatMap((id) => lintPattern(id, ['from'], say)),
  ];
}

function lintOperations({ allow, deny }: PolicyRule, say: Say): LintFinding[] {
  const effect = allow === undefined ? 'deny' : 'allow';
  return (allow ?? deny ?? []).flatMap((operation: Operation, at) => {
    const { methods = [], paths = [], hosts = [], query = {}, isGrpc } = operation;
    const path = [effect, at];
    return [
      ...methods
        .filter((method) => !METHODS.has(method))
        .map((method) =>
          say('unusual-method', path, `${method} is no usual method`, 'check how it is spelled'),
        ),
      ...(isGrpc === true ? [] : paths.flatMap((one) => lintPattern(one, path, say))),
      ...[...hosts, ...Object.values(query).flat()].flatMap((one) => lintRegex(one, path, say)),
    ];
  });
}

function lintConditions(
  { when, allow }: PolicyRule,
  { rules }: Policy,
  now: number,
  say: Say,
): LintFinding[] {
  if (when === undefined) return [];
  const { time, headers = {}, jwt } = when;
  const { from = Number.NEGATIVE_INFINITY, until = Number.POSITIVE_INFINITY } = time ?? {};
  const owned = new Set(rules.flatMap(({ map }) => Object.keys(map ?? {})));
  const values = [...Object.values(headers), ...Object.values(jwt?.claims ?? {})];
  return [
    ...(from < until
      ? []
      : [say('never-matches', ['when', 'time'], 'begins when it is over', 'set until after from')]),
    ...(until <= now
      ? [
          say(
            'expired',
            ['when', 'time', 'until'],
            `is over since ${new Date(until).toISOString()}`,
            'remove the rule, or set another instant',
          ),
        ]
      : []),
    ...Object.keys(allow === undefined ? {} : headers)
      .filter((name) => !owned.has(name))
      .map((name) =>
        say(
          'unstripped-header',
          ['when', 'headers', name],
          'is what the caller says of itself; nobody removes it',
          'use a claim of a token, or have the proxy remove and set the header',
        ),
      ),
    ...values.flatMap(({ patterns }) => patterns.flatMap((one) => lintRegex(one, ['when'], say))),
  ];
}

function lintPattern(pattern: Pattern, path: LintFinding['path'], say: Say): LintFinding[] {
  const last = pattern.segments().at(-1) ?? '';
  if (!/^[^*]+\*$/u.test(last) || /[-_.]\*$/u.test(last)) return lintRegex(pattern, path, say);
  const whole = `${pattern.text.slice(0, -1)}/**`;
  return [
    say(
      'prefix-without-boundary',
      path,
      `${pattern.text} matches what merely begins alike`,
      `for all below write ${whole}`,
    ),
  ];
}

function lintRegex({ text }: Pattern, path: LintFinding['path'], say: Say): LintFinding[] {
  if (!REGEX.test(text)) return [];
  return [
    say(
      'looks-like-regex',
      path,
      `${text} is read letter by letter; only * and {name} are special`,
      'write * for one or more characters',
    ),
  ];
}

function lintSets({ metadata, sets = {}, rules, assert = [] }: Policy): LintFinding[] {
  const lists: (readonly IdOrSet[])[] = [
    ...rules.flatMap(({ from }) => (typeof from === 'string' ? [] : [from.ids, from.except ?? []])),
    ...assert.map(({ from }) => from),
  ];
  const used = new Set(lists.flat().flatMap((id) => (id instanceof Pattern ? [] : [id.set])));
  return Object.keys(sets)
    .filter((set) => !used.has(set))
    .map((set) =>
      finding('unused-set', metadata.name, ['sets', set], `nothing uses $${set}`, 'remove it'),
    );
}

/** Trust domains that are none of those that are known. */
export function lintTrustDomains(policy: Policy, known: readonly string[]): LintFinding[] {
  const { name } = policy.metadata;
  const check = (ids: readonly IdOrSet[], path: LintFinding['path']): LintFinding[] => {
    const domains = ids.flatMap((id) => (id instanceof Pattern ? (id.segments()[2] ?? []) : []));
    return [...new Set(domains)]
      .filter((domain) => domain !== '*' && !known.includes(domain))
      .map((domain) =>
        finding(
          'unknown-trust-domain',
          name,
          path,
          `${domain} is neither ours nor federated`,
          'check the name, or federate with it',
        ),
      );
  };
  return [
    ...(policy.service instanceof Pattern ? check([policy.service], ['service']) : []),
    ...Object.entries(policy.sets ?? {}).flatMap(([set, ids]) => check(ids, ['sets', set])),
    ...policy.rules.flatMap(({ from }, at) =>
      typeof from === 'string'
        ? []
        : check([...from.ids, ...(from.except ?? [])], ['rules', at, 'from']),
    ),
  ];
}
