import { isAnyTrustDomain } from './parse-patterns.ts';
import { Pattern } from './pattern.ts';
import type {
  FromIds,
  IdOrSet,
  Policy,
  PolicyAssertion,
  PolicyRule,
  PolicyTest,
} from './policy.ts';

/** Of the name of a mapped header, of which each spelling with "_" for "-" is removed. */
const MAX_PARTS = 7;

/** What is wrong, and where in the document. */
interface Complaint {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** What no single field of a policy shows. */
export function findContradictions(policy: Policy): Complaint[] {
  return [
    ...serviceComplaints(policy),
    ...duplicateComplaints(policy),
    ...policy.rules.flatMap((rule, at) => below(['rules', at], ruleComplaints(rule, policy))),
    ...(policy.assert ?? []).flatMap((assertion, at) =>
      below(['assert', at], assertionComplaints(assertion, policy)),
    ),
    ...(policy.tests ?? []).flatMap((test, at) =>
      below(['tests', at], testComplaints(test, policy)),
    ),
  ];
}

/** The patterns a list of IDs and sets comes to. */
export function expandIds(ids: readonly IdOrSet[], sets: Policy['sets']): readonly Pattern[] {
  if (areAllPatterns(ids)) return ids;
  return ids.flatMap((id) => (id instanceof Pattern ? [id] : (setOf(sets, id.set) ?? [])));
}

function areAllPatterns(ids: readonly IdOrSet[]): ids is readonly Pattern[] {
  return ids.every((id) => id instanceof Pattern);
}

function setOf(sets: Policy['sets'], name: string): readonly Pattern[] | undefined {
  return sets !== undefined && Object.hasOwn(sets, name) ? sets[name] : undefined;
}

function serviceComplaints({ service }: Policy): Complaint[] {
  if (!(service instanceof Pattern)) return [];
  if (isAnyTrustDomain(service))
    return [{ path: ['service'], message: 'has no trust domain; a service is of one' }];
  if (service.captureNames.length > 0)
    return [{ path: ['service'], message: 'has a capture; nothing can use it' }];
  return [];
}

function duplicateComplaints({ rules }: Policy): Complaint[] {
  const seen = new Set<string>();
  return rules.flatMap(({ id }, at) => {
    if (seen.has(id)) return [{ path: ['rules', at, 'id'], message: `"${id}" is used twice` }];
    seen.add(id);
    return [];
  });
}

function ruleComplaints(rule: PolicyRule, policy: Policy): Complaint[] {
  const complaints: Complaint[] = [];
  const { allow, deny, from, map } = rule;
  if ((allow === undefined) === (deny === undefined))
    complaints.push({ path: [], message: 'has either allow or deny' });
  if (typeof from !== 'string') complaints.push(...below(['from'], fromComplaints(from, policy)));
  if (map !== undefined) complaints.push(...below(['map'], mapComplaints(rule, policy)));
  return complaints;
}

function fromComplaints(from: FromIds, { sets }: Policy): Complaint[] {
  const refs = [...from.ids, ...(from.except ?? [])];
  const complaints = unknownSets(refs, sets);
  const all = expandIds(refs, sets);
  if (from.anyTrustDomain !== true && all.some(isAnyTrustDomain))
    complaints.push({
      path: [],
      message: 'has "spiffe://*", which needs anyTrustDomain: true beside ids',
    });
  if (expandIds(from.except ?? [], sets).some(({ captureNames }) => captureNames.length > 0))
    complaints.push({ path: [], message: 'has a capture in except; nothing can use it' });
  return complaints;
}

function unknownSets(ids: readonly IdOrSet[], sets: Policy['sets']): Complaint[] {
  return ids.flatMap((id) =>
    id instanceof Pattern || setOf(sets, id.set) !== undefined
      ? []
      : [{ path: [], message: `there is no set "${id.set}"` }],
  );
}

/** An assertion speaks of any trust domain without more words: it grants nothing. */
function assertionComplaints({ kind, from, to }: PolicyAssertion, { sets }: Policy): Complaint[] {
  const patterns = [
    ...expandIds(from, sets),
    ...to.flatMap(({ paths = [], hosts = [] }) => [...paths, ...hosts]),
  ];
  const hasCapture = patterns.some(({ captureNames }) => captureNames.length > 0);
  return [
    ...below([kind, 'from'], unknownSets(from, sets)),
    ...(hasCapture
      ? [{ path: [kind], message: 'has a capture; an assertion speaks of all values' }]
      : []),
  ];
}

function mapComplaints(rule: PolicyRule, policy: Policy): Complaint[] {
  if (rule.deny !== undefined) return [{ path: [], message: 'belongs to allow; this is a deny' }];
  const bound = boundCaptures(rule, policy);
  return Object.entries(rule.map ?? {}).flatMap(([header, value]): Complaint[] => {
    if (header.split('-').length > MAX_PARTS)
      return [
        { path: [header], message: `has over ${MAX_PARTS} parts between "-"; expected fewer` },
      ];
    if (value.kind === 'claim' && rule.when?.jwt === undefined)
      return [{ path: [header], message: 'takes a claim, so the rule needs when.jwt.issuer' }];
    if (value.kind !== 'template') return [];
    const names = value.parts.filter((_, at) => at % 2 === 1);
    const missing = names.filter((name) => !bound.has(name));
    return missing.map((name) => ({
      path: [header],
      message: `uses {${name}}, which not every caller or every operation of the rule has`,
    }));
  });
}

/** The captures that have a value whichever of the patterns match. */
function boundCaptures({ from, allow = [] }: PolicyRule, { sets }: Policy): ReadonlySet<string> {
  const ids = typeof from === 'string' ? [] : expandIds(from.ids, sets);
  const inAll = (groups: readonly (readonly string[])[]): string[] =>
    (groups[0] ?? []).filter((name) => groups.every((group) => group.includes(name)));
  const names = (patterns: readonly Pattern[] | undefined): string[] =>
    inAll((patterns ?? []).map(({ captureNames }) => captureNames));
  const operations = allow.map(({ paths, hosts }) => [...names(paths), ...names(hosts)]);
  return new Set([...names(ids), ...inAll(operations)]);
}

function testComplaints(test: PolicyTest, { service }: Policy): Complaint[] {
  const complaints: Complaint[] = [];
  if (test.request !== undefined && test.grpc !== undefined)
    complaints.push({ path: ['grpc'], message: 'stands beside request; a test has one' });
  if (test.service !== undefined && !(service instanceof Pattern && service.matches(test.service)))
    complaints.push({ path: ['service'], message: 'is no service of this policy' });
  return complaints;
}

function below(path: Complaint['path'], complaints: readonly Complaint[]): Complaint[] {
  return complaints.map((one) => ({ ...one, path: [...path, ...one.path] }));
}
