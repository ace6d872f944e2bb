import { createSeededRandom, type SeededRandom } from '../programs/seeded-random.ts';
import type { CertificateShapes } from './certificate-shapes.ts';
import { Engine, type Judged } from './engine.ts';
import { ASSERTED, evaluate, type Question, type Verdict } from './evaluate.ts';
import type { PolicyDocument } from './policy-document.ts';
import { domains, PolicyMaker, type World } from './random-policies.ts';
import { type Asked, QuestionMaker } from './random-questions.ts';

const SERVICE = `spiffe://${domains.own}/ns/ledger/sa/api`;
const pattern = `spiffe://${domains.own}/ns/*/sa/api`;
/** Whose policies they are, and what is called. */
const services: readonly (readonly [PolicyDocument['service'], Question['service']])[] = [
  [SERVICE, { id: SERVICE }],
  [SERVICE, { id: SERVICE, extension: 'other' }],
  [pattern, { id: SERVICE }],
  [pattern, { id: SERVICE }],
  [`spiffe://${domains.own}/ns/**`, { id: SERVICE }],
  [{ contextExtension: 'ledger' }, { extension: 'ledger' }],
  [{ contextExtension: 'ledger' }, { id: SERVICE, extension: 'ledger' }],
  [{ contextExtension: 'ledger' }, { id: SERVICE, extension: 'ledger' }],
];
/** The first of them, once in a while. */
const elsewhere: readonly (readonly [PolicyDocument['service'], Question['service']])[] = [
  [SERVICE, { id: `${SERVICE}2` }],
  [pattern, { id: `spiffe://${domains.own}/ns/a/b/sa/api` }],
  [{ contextExtension: 'ledger' }, { extension: 'Ledger' }],
];

export interface Difference {
  /** Asks it again: `SEED` and the number of the case. */
  readonly replay: string;
  readonly expected: Verdict;
  readonly got: string;
  readonly asked: Asked;
  readonly policies: readonly PolicyDocument[];
}

export interface Outcome {
  readonly decisions: number;
  /** Policies that the checker refuses, because they make no sense. */
  readonly refused: number;
  readonly reasons: ReadonlyMap<string, number>;
  readonly differences: readonly Difference[];
}

export interface DifferentialOptions {
  readonly seed: number;
  readonly cases: number;
  readonly questions: number;
  readonly world: World;
  readonly shapes: CertificateShapes;
  /** Ends with the first. */
  readonly stopsAtFirst?: boolean;
  /** Of one case alone. */
  readonly only?: number | undefined;
}

/** Has the engine and the second evaluator decide the same questions, in this process. */
export function runDifferential(options: DifferentialOptions): Outcome {
  const { seed, cases, questions, world, shapes, only } = options;
  const engine = new Engine(shapes, world.now);
  const share = createShare(engine, world);
  const reasons = new Map<string, number>();
  const differences: Difference[] = [];
  let decisions = 0;
  let refused = 0;
  for (let number = only ?? 0; number < (only === undefined ? cases : only + 1); number++) {
    const { random, policies, place } = makeCase(seed, number, world);
    try {
      engine.load(policies);
    } catch {
      refused++;
      continue;
    }
    const ask = new QuestionMaker(random, world);
    const asked = Array.from({ length: questions }, () => ask.make(policies, place));
    const got = asked.map((question) => engine.ask(question));
    for (const [at, question] of asked.entries()) {
      const expected = evaluate(policies, question, share);
      const judged = got[at];
      decisions++;
      reasons.set(expected.reason, (reasons.get(expected.reason) ?? 0) + 1);
      const difference =
        judged === undefined ? 'nothing' : differenceOf(expected, judged, question);
      if (difference === undefined) continue;
      const replay = `SEED=${seed} CASE=${number}`;
      differences.push({ replay, expected, got: difference, asked: question, policies });
      if (options.stopsAtFirst === true) return { decisions, refused, reasons, differences };
    }
  }
  return { decisions, refused, reasons, differences };
}

/** The policies of one case, and what is called. */
export function makeCase(
  seed: number,
  number: number,
  world: World,
): {
  /** Goes on from here. */
  readonly random: SeededRandom;
  readonly policies: readonly PolicyDocument[];
  readonly place: Question['service'];
} {
  const random = createSeededRandom(seed + number * 7_919);
  const places = random(20) === 0 ? elsewhere : services;
  const [service, place] = places[random(places.length)] ?? [SERVICE, { id: SERVICE }];
  const made = new PolicyMaker(random, world).make(service);
  const policies = random(2) === 0 ? made : made.map((policy) => spreadOut(policy, place, random));
  return { random, policies, place };
}

/** Of several policies each says in its own way which service it is for. */
function spreadOut(
  policy: PolicyDocument,
  { id, extension }: Question['service'],
  random: SeededRandom,
): PolicyDocument {
  const ways = [
    ...(id === SERVICE ? [SERVICE, pattern, `spiffe://${domains.own}/ns/ledger/**`] : []),
    ...(extension === undefined ? [] : [{ contextExtension: extension }]),
    policy.service,
  ];
  return { ...policy, service: ways[random(ways.length)] ?? policy.service };
}

/**
 * Which callers a canary has is the engine's own choice; that it depends on nothing but the caller and
 * the percentage, and has about so many, is not.
 */
export function createShare(
  engine: Engine,
  world: Pick<World, 'now'>,
): (id: string, percent: number) => boolean {
  const known = new Map<string, boolean>();
  return (id, percent) => {
    if (percent <= 0 || percent >= 100) return percent >= 100;
    const key = `${percent} ${id}`;
    let isIn = known.get(key);
    if (isIn === undefined) {
      loadCanary(engine, percent);
      isIn = isAllowed(engine, world, id);
      known.set(key, isIn);
    }
    return isIn;
  };
}

function loadCanary(engine: Engine, percent: number): void {
  engine.load([
    {
      metadata: { name: 'canary' },
      service: SERVICE,
      mode: { stage: 'canary', percent },
      rules: [{ id: 'r', from: 'authenticated', allow: ['/**'] }],
    },
  ]);
}

function isAllowed(engine: Engine, { now }: Pick<World, 'now'>, id: string): boolean {
  const { decision } = engine.ask({
    as: id,
    sent: { octets: 0, how: 'none' },
    service: { id: SERVICE },
    caller: { id },
    http: { method: 'GET', target: '/', host: 'a', lines: [] },
    sourceIp: '127.0.0.1',
    destinationIp: '127.0.0.1',
    port: 1,
    now,
  });
  return decision.reason === 'allowed_by_rule';
}

/** Which of so many callers a canary has; the engine believes names. */
export function canaryShare(
  engine: Engine,
  world: World,
  percent: number,
  count: number,
): ReadonlySet<string> {
  const ids = Array.from({ length: count }, (_, at) => `spiffe://${domains.own}/sa/${at}`);
  loadCanary(engine, percent);
  return new Set(ids.filter((id) => isAllowed(engine, world, id)));
}

/** Undefined: it is decided alike, down to the headers. */
function differenceOf(
  expected: Verdict,
  { decision, answer }: Judged,
  { http, caller, token }: Question,
): string | undefined {
  const { reason, policy, ruleId, isAllowed, observed, shadow, log } = decision;
  const rule = ruleId === undefined ? undefined : `${policy ?? ''}/${ruleId}`;
  const isRightly = expected.reason === 'allowed_by_rule';
  // A trial of two IDs at once is told of neither.
  const hasTwo = typeof caller === 'object' && typeof token === 'object';
  const facts: readonly (readonly [what: string, got: unknown, wanted: unknown])[] = [
    ['reason', reason, expected.reason],
    ['rule', rule, expected.rule],
    ['allowed', [isAllowed, answer.code === 0], [isRightly, isRightly]],
    ['observed', observed.toSorted(), expected.observed],
    ['logged', log === 'always', expected.isLogged],
    ...(hasTwo ? [] : [['shadow', shadow, shadowOf(expected)] as const]),
    ...(http === undefined ? [] : toldOrWritten(expected, answer)),
  ];
  const found = facts.find(([, got, wanted]) => JSON.stringify(got) !== JSON.stringify(wanted));
  if (found === undefined) return undefined;
  const [what, got, wanted] = found;
  return `${what}: ${JSON.stringify(got)} for ${JSON.stringify(wanted)}`;
}

function shadowOf({ shadow }: Verdict): object | undefined {
  if (shadow === undefined) return undefined;
  const ruleId = shadow.rule?.replace(/^[^/]*\//u, '');
  return { isAllowed: shadow.reason === 'allowed_by_rule', ruleId };
}

function toldOrWritten(
  { reason, owned, told }: Verdict,
  { status, body, written, removed }: Judged['answer'],
): readonly (readonly [string, unknown, unknown])[] {
  if (reason !== 'allowed_by_rule')
    return [
      ['status', status, told.status],
      ['body', body !== '', told.hasBody],
    ];
  const kept = [...owned].filter(([, value]) => value !== undefined);
  const others = [...owned.keys()].flatMap(spellingsOf).filter((name) => !written.has(name));
  const headers = [...written].map(([name, value]) => [name, meaningOf(value)] as const);
  return [
    ['headers', sorted(headers), sorted(kept)],
    ['removed', removed.toSorted(), [...new Set(others)].sort()],
  ];
}

function sorted(entries: readonly (readonly [string, unknown])[]): readonly string[] {
  return entries.map((entry) => JSON.stringify(entry)).toSorted();
}

/** Of a signed assertion whom it asserts. */
export function meaningOf(value: string): string {
  const [, payload] = /^eyJ[^.]*\.([^.]+)\.[^.]+$/u.exec(value) ?? [];
  if (payload === undefined) return value;
  const { sub }: { readonly sub: string } = JSON.parse(
    Buffer.from(payload, 'base64url').toString(),
  );
  return `${ASSERTED}${sub}`;
}

/** With `_` in the place of any `-`. */
function spellingsOf(name: string): readonly string[] {
  const [first = '', ...rest] = name.split('-');
  return rest.reduce<readonly string[]>(
    (made, part) => made.flatMap((start) => [`${start}-${part}`, `${start}_${part}`]),
    [first],
  );
}
