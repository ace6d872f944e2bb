import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import {
  type AccessRequest,
  decide,
  openPlan,
  type Plan,
  packPlan,
  policySchema,
} from '../src/authz/index.ts';
import { documentOf, documentWith, planOf, requestBy, requestsFor } from './bench-policies.ts';
import { against, asRatio, type Benchmark, type Measurement, median } from './measurement.ts';

const MANY = 100_000;
const FEW = 1_000;
const COMPILED = 10_000;
const REQUESTS = 2_000;
const ROUNDS = 15;
const MIB = 1_048_576;
const ALIKE = 2_048;
const MEMORY = new URL('./policy-memory.ts', import.meta.url).pathname;

/** Decisions per second with 100,000 rules against 1,000, by turns. Looking at each rule would be 0.01; caches of the CPU keep it below 1. */
export const policyDecide: Benchmark = {
  name: 'policy_decide',
  about: `decisions with ${MANY} rules against ${FEW}, half of them for patterns`,
  run: async (report): Promise<Measurement> => {
    const few = { plan: planOf(FEW), requests: requestsFor(FEW, REQUESTS) };
    const many = { plan: planOf(MANY), requests: requestsFor(MANY, REQUESTS) };
    const rates: { readonly few: number[]; readonly many: number[] } = { few: [], many: [] };
    for (let round = 0; round < ROUNDS; round++) {
      rates.few.push(decidedPerSecond(few.plan, few.requests));
      rates.many.push(decidedPerSecond(many.plan, many.requests));
    }
    const [one, other] = [median(rates.few), median(rates.many)];
    report(`${one.toFixed(0)}/s with ${FEW}, ${other.toFixed(0)}/s with ${MANY}`);
    return asRatio('policy_decide', other / one, { kind: 'at-least', ratio: 0.25 });
  },
};

/** From a parsed document to a plan that decides. */
export const policyCompile: Benchmark = {
  name: 'policy_compile_10k_ms',
  about: `checking, compiling and opening ${COMPILED} rules, CPU time with collection of garbage, median of ${ROUNDS}`,
  run: async (report): Promise<Measurement> => {
    const times: number[] = [];
    const compiling: number[] = [];
    const opening: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const document = documentOf(COMPILED);
      const start = process.cpuUsage();
      const policy = policySchema.parse(document);
      const checked = process.cpuUsage();
      const image = packPlan([policy], '');
      const packed = process.cpuUsage();
      openPlan(image);
      opening.push(cpuMs(packed));
      compiling.push(cpuMs(checked));
      times.push(cpuMs(start));
    }
    report(
      `compiling alone ${median(compiling).toFixed(0)} ms, opening ${median(opening).toFixed(1)} ms`,
    );
    return against('policy_compile_10k_ms', median(times), 'ms', 300);
  },
};

/** What a plan holds of heap, external memory and array buffers once each of its rules was asked for. */
export const policyMemory: Benchmark = {
  name: 'policy_100k_mb',
  about: `memory that a plan of ${MANY} rules holds, in a process of its own`,
  run: async (): Promise<Measurement> => {
    const arguments_ = ['--expose-gc', MEMORY, String(MANY)];
    const { stdout } = await promisify(execFile)(process.execPath, arguments_);
    return against('policy_100k_mb', Number(stdout) / MIB, 'MiB', 60, 'at-most');
  },
};

/** The slowest decision with policies that are made to be slow: the first, which decodes, and later ones. */
export const policyWorst: Benchmark = {
  name: 'policy_worst_ms',
  about: `the slowest of decisions with ${ALIKE} rules that are found in one place, made to be slow`,
  run: async (report): Promise<Measurement> => {
    const slowest = Object.entries(hostileRules()).map(([name, rules]) => {
      const plan = openPlan(packPlan([policySchema.parse(documentWith(rules))], ''));
      const slow = worstPaths.map((path) => {
        const times = Array.from({ length: ROUNDS }, () => cpuOfDecision(plan, path));
        const long = path.length > 100 ? ', a long path' : '';
        report(
          `${name}${long}: first ${times[0]?.toFixed(2)} ms, then ${median(times).toFixed(2)} ms`,
        );
        return Math.max(...times);
      });
      return Math.max(...slow);
    });
    return against('policy_worst_ms', Math.max(...slowest), 'ms', 100);
  },
};

function hostileRules(): Record<string, readonly object[]> {
  const rules = (rule: (at: number) => object) =>
    Array.from({ length: ALIKE }, (_, at) => rule(at));
  const form = (at: number) =>
    Array.from({ length: 10 }, (_, bit) => (at & (1 << bit) ? '*' : 'a')).join('/');
  const header = (at: number) => ({ headers: { 'x-a': `v${at}` } });
  return {
    'denies of /** by header': rules((at) => ({ from: 'anyone', deny: ['/**'], when: header(at) })),
    'denies of /**': rules(() => ({ from: 'anyone', deny: ['/**'] })),
    'allows of /** with captures': rules(() => ({
      from: ['spiffe://bench.test/{x}/**'],
      allow: ['/{x}/**'],
      map: { 'x-user': '{x}' },
    })),
    'paths with stars for one ID': rules((at) => ({
      from: ['spiffe://bench.test/a/**'],
      allow: [`/a/${'a*'.repeat(9)}${at}/**`],
    })),
    'long paths with stars for one ID': rules((at) => ({
      from: ['spiffe://bench.test/a/**'],
      allow: [`/*${'a'.repeat(900)}b${'a'.repeat(900)}*${at}`],
    })),
    'all forms of IDs and of paths': rules((at) => ({
      from: [`spiffe://bench.test/${form(at)}`],
      allow: [`/${form(at * 37)}`],
    })),
  };
}

const segments = Array.from({ length: 10 }, () => 'a').join('/');
/** The last are as long as they may be. */
const worstPaths = [`/${segments}`, `/${'a'.repeat(8_000)}`, `/a/${'a'.repeat(8_000)}`];

function cpuOfDecision(plan: Plan, path: string): number {
  const request = requestBy(`spiffe://bench.test/${segments}`, path);
  const start = process.cpuUsage();
  decide(plan, request);
  return cpuMs(start);
}

function decidedPerSecond(plan: Plan, requests: readonly AccessRequest[]): number {
  const start = performance.now();
  const allowed = requests.filter((request) => decide(plan, request).isAllowed).length;
  const elapsedMs = performance.now() - start;
  if (allowed !== (requests.length * 3) / 4) throw new Error(`${allowed} were allowed`);
  return (requests.length / elapsedMs) * 1_000;
}

function cpuMs(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1_000;
}
