import { type CompiledRbac, evaluateMatcher, type Matcher } from '../../src/authz/rbac/index.ts';
import { createSeededRandom, type SeededRandom } from '../programs/seeded-random.ts';
import type { CertificateShapes } from './certificate-shapes.ts';
import { Engine } from './engine.ts';
import { plainly } from './plain-policies.ts';
import type { PolicyDocument } from './policy-document.ts';
import { farSources, PolicyMaker, type World } from './random-policies.ts';
import { type Asked, QuestionMaker } from './random-questions.ts';
import { compileDocuments, FactsReader, type RbacVariant, rbacTerms } from './rbac-facts.ts';
import {
  asConnection,
  faultOfAlone,
  faultOfBeforeCheck,
  faultOfDraft,
  isWhole,
  type Truth,
  truthOf,
} from './rbac-truth.ts';
import { createShare, makeCase } from './run-differential.ts';

interface Difference {
  /** Asks it again: `SEED` and the number of the case. */
  readonly replay: string;
  readonly fault: string;
  readonly truth: Truth;
  readonly policies: readonly PolicyDocument[];
}

export interface RbacOutcome {
  /** Answers of trees. */
  decisions: number;
  /** Of those by trees that need no Check: ALLOW. */
  allowed: number;
  /** Questions that Envoy has to decide as the engine does. */
  whole: number;
  readonly differences: Difference[];
}

export interface RbacDifferentialOptions {
  readonly seed: number;
  readonly cases: number;
  readonly questions: number;
  readonly world: World;
  readonly shapes: CertificateShapes;
  readonly only?: number | undefined;
  readonly stopsAtFirst?: boolean;
}

type Fault = (
  compiled: CompiledRbac,
  said: ReturnType<typeof evaluateMatcher>,
  truth: Truth,
) => string | undefined;

/** As an Envoy sees it. */
export function rbacWorld(now: number): World {
  const addresses = farSources.filter((one) => !/pipe|%/u.test(one));
  return { ports: [8443, 9443], now, sources: addresses, destinations: addresses };
}

/** Has trees that Envoy would be given and the second evaluator decide the same questions, in this process. */
export function runRbacDifferential(options: RbacDifferentialOptions): RbacOutcome {
  const { seed, cases, questions, world, shapes, only } = options;
  const share = createShare(new Engine(shapes, world.now), world);
  const terms = rbacTerms(shapes);
  const reader = new FactsReader(shapes);
  const outcome: RbacOutcome = { decisions: 0, allowed: 0, whole: 0, differences: [] };
  for (let number = only ?? 0; number < (only === undefined ? cases : only + 1); number++) {
    const { random, policies: made, place } = makeCase(seed, number, world);
    // Small sets are tried rule by rule; large ones have a tree.
    const all = number % 8 === 7 ? manyPolicies(made, random, world) : made;
    const policies = number % 2 === 0 ? all : plainly(all, number % 4 === 3);
    const ask = new QuestionMaker(random, world);
    const layout = createSeededRandom(number)(3) === 0 ? 'flat-denies' : 'nested';
    const compile = (target: RbacVariant['target']): CompiledRbac =>
      compileDocuments(policies, place, terms, { target, layout });
    const compiled = { http: compile('http'), network: compile('network') };
    const isOld = layout === 'flat-denies';
    for (let count = 0; count < questions; count++) {
      const asked = ask.make(policies, place);
      const connection = count % 8 === 0 ? asConnection(asked) : undefined;
      const all: readonly Asked[] = connection === undefined ? [asked] : [asked, connection];
      for (const one of all) {
        const truth = truthOf(policies, one, share);
        const trees = one.http === undefined ? compiled.network : compiled.http;
        const facts = reader.read(one);
        for (const fault of faultsOf(outcome, trees, facts, truth, isOld)) {
          outcome.differences.push({
            replay: `SEED=${seed} CASE=${number}`,
            fault,
            truth,
            policies,
          });
          if (options.stopsAtFirst === true) return outcome;
        }
      }
    }
  }
  return outcome;
}

/** As many again, five times, for the services that are there. */
function manyPolicies(
  made: readonly PolicyDocument[],
  random: SeededRandom,
  world: World,
): readonly PolicyDocument[] {
  const maker = new PolicyMaker(random, world);
  const { service = '' } = made[0] ?? {};
  return [0, 1, 2, 3, 4].reduce<readonly PolicyDocument[]>((all, round) => {
    const more = maker.make(service).map((policy) => ({
      ...policy,
      metadata: { name: `${policy.metadata.name}-${round}` },
    }));
    return [...all, ...more];
  }, made);
}

function faultsOf(
  outcome: RbacOutcome,
  trees: CompiledRbac,
  facts: ReturnType<FactsReader['read']>,
  truth: Truth,
  isOld: boolean,
): readonly string[] {
  const judged: readonly (readonly [Matcher | undefined, Fault])[] = [
    [trees.alone, faultOfAlone],
    [trees.beforeCheck, faultOfBeforeCheck],
    [trees.draft, faultOfDraft],
  ];
  if (isWhole(trees, truth.question)) outcome.whole++;
  const old = isOld ? evaluateWithoutResume(trees.alone, facts) : undefined;
  if (old?.action === 'ALLOW' && truth.verdict.reason !== 'allowed_by_rule')
    return [`allowed by ${old.name} of an old Envoy`];
  return judged.flatMap(([tree, faultOf]) => {
    if (tree === undefined) return [];
    const said = evaluateMatcher(tree, facts);
    outcome.decisions++;
    if (tree === trees.alone && said?.action === 'ALLOW') outcome.allowed++;
    const fault = faultOf(trees, said, truth);
    return fault === undefined ? [] : [fault];
  });
}

/** As an Envoy before 1.35, which ends at the longest prefix whatever comes of it. */
function evaluateWithoutResume(
  matcher: Matcher,
  facts: ReturnType<FactsReader['read']>,
): ReturnType<typeof evaluateMatcher> {
  if (matcher.kind === 'action') return matcher;
  if (matcher.kind === 'list') {
    const { entries, otherwise } = matcher;
    for (const { when, then } of entries) {
      const holds = {
        kind: 'list',
        entries: [{ when, then: found }],
        otherwise: undefined,
      } as const;
      const result = evaluateMatcher(holds, facts) && evaluateWithoutResume(then, facts);
      if (result !== undefined) return result;
    }
    return otherwise && evaluateWithoutResume(otherwise, facts);
  }
  const { by, input, entries, otherwise } = matcher;
  const keys = [...entries.keys()].toSorted((a, b) => b.length - a.length);
  const key = keys.find((text) => {
    const only = {
      kind: 'map',
      by,
      input,
      entries: new Map([[text, found]]),
      otherwise: undefined,
    } as const;
    return evaluateMatcher(only, facts) !== undefined;
  });
  const next = key === undefined ? otherwise : entries.get(key);
  return next && evaluateWithoutResume(next, facts);
}

const found = { kind: 'action', name: 'found', action: 'ALLOW' } as const;
