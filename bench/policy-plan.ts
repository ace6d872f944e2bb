import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import {
  type AccessRequest,
  compilePlan,
  decide,
  type Plan,
  policySchema,
} from '../src/authz/index.ts';
import { SpiffeId } from '../src/spiffe/index.ts';
import { against, asRatio, type Benchmark, type Measurement, median } from './measurement.ts';

const MANY = 100_000;
const FEW = 1_000;
const COMPILED = 10_000;
const REQUESTS = 2_000;
const ROUNDS = 15;
const MIB = 1_048_576;
const SERVICE = 'spiffe://bench.test/ns/prod/sa/api';

/** Decisions per second with 100,000 rules against 1,000, by turns. Looking at each rule would be 0.01; caches of the CPU keep it below 1. */
export const policyDecide: Benchmark = {
  name: 'policy_decide',
  about: `decisions with ${MANY} rules against ${FEW}, half of them for patterns`,
  run: async (report): Promise<Measurement> => {
    const few = { plan: planOf(FEW), requests: requestsFor(FEW) };
    const many = { plan: planOf(MANY), requests: requestsFor(MANY) };
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
  about: `checking and compiling ${COMPILED} rules, CPU time with collection of garbage, median of ${ROUNDS}`,
  run: async (report): Promise<Measurement> => {
    const times: number[] = [];
    const compiling: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const document = documentOf(COMPILED);
      const start = process.cpuUsage();
      const policy = policySchema.parse(document);
      const checked = process.cpuUsage();
      compilePlan([policy], '');
      times.push(cpuMs(start));
      compiling.push(cpuMs(checked));
    }
    report(`compiling alone ${median(compiling).toFixed(0)} ms`);
    return against('policy_compile_10k_ms', median(times), 'ms', 300);
  },
};

/** What a plan holds of heap, external memory and array buffers. */
export const policyMemory: Benchmark = {
  name: 'policy_100k_mb',
  about: `memory that a plan of ${MANY} rules holds`,
  run: async (): Promise<Measurement> => {
    const before = heldBytes();
    const plan = planOf(MANY);
    const held = heldBytes() - before;
    if (plan.rules.length !== MANY) throw new Error('the plan is not whole');
    return against('policy_100k_mb', held / MIB, 'MiB', 60, 'at-most');
  },
};

function planOf(rules: number): Plan {
  return compilePlan([policySchema.parse(documentOf(rules))], 'bench');
}

/** Each rule has a caller and a path of its own; every other has a wildcard in both. */
function documentOf(rules: number): unknown {
  return {
    apiVersion: 'trustplane/v1',
    kind: 'Policy',
    metadata: { name: 'bench' },
    service: SERVICE,
    rules: Array.from({ length: rules }, (_, at) => ({
      id: `rule-${at}`,
      from: [at % 2 ? `spiffe://bench.test/ns/team-${at}/sa/*` : idOf(at)],
      allow: [at % 2 ? `GET /v1/items/${at}/**` : `GET ${pathOf(at)}`],
    })),
  };
}

function idOf(at: number): string {
  return `spiffe://bench.test/ns/team-${at}/sa/web`;
}

function pathOf(at: number): string {
  return `/v1/items/${at}/state`;
}

/** Three of four are allowed. */
function requestsFor(rules: number): AccessRequest[] {
  return Array.from({ length: REQUESTS }, (_, count) => {
    const at = (count * 7919) % rules;
    return {
      service: { spiffeId: SERVICE },
      caller: SpiffeId.parse(idOf(at)),
      http: {
        method: 'GET',
        target: pathOf(count % 4 === 0 ? at + 1 : at),
        host: 'api.bench.test',
        headers: () => [],
      },
      now: 0,
    };
  });
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

function heldBytes(): number {
  collectGarbage();
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return heapUsed + external + arrayBuffers;
}

function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect !== 'function') throw new Error('the garbage collector cannot be called');
  for (let round = 0; round < 3; round++) collect();
}
