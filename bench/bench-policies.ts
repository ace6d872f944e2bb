import {
  type AccessRequest,
  openPlan,
  type Plan,
  type PlanImage,
  packPlan,
  policySchema,
} from '../src/authz/index.ts';
import { SpiffeId } from '../src/spiffe/index.ts';

const SERVICE = 'spiffe://bench.test/ns/prod/sa/api';

export function planOf(rules: number): Plan {
  return openPlan(imageOf(rules));
}

export function imageOf(rules: number): PlanImage {
  return packPlan([policySchema.parse(documentOf(rules))], 'bench');
}

/** Each rule has a caller and a path of its own; every other has a wildcard in both. */
export function documentOf(rules: number): object {
  return documentWith(
    Array.from({ length: rules }, (_, at) => ({
      from: [at % 2 ? `spiffe://bench.test/ns/team-${at}/sa/*` : idOf(at)],
      allow: [at % 2 ? `GET /v1/items/${at}/**` : `GET ${pathOf(at)}`],
    })),
  );
}

export function documentWith(rules: readonly object[]): object {
  return {
    apiVersion: 'trustplane/v1',
    kind: 'Policy',
    metadata: { name: 'bench' },
    service: SERVICE,
    rules: rules.map((rule, at) => ({ id: `rule-${at}`, ...rule })),
  };
}

/** Allowed by the rule `at`; with `path` another path's business. */
export function requestFor(at: number, path: string = pathOf(at)): AccessRequest {
  return requestBy(idOf(at), path);
}

export function requestBy(caller: string, path: string): AccessRequest {
  return {
    service: { spiffeId: SERVICE },
    caller: SpiffeId.parse(caller),
    http: { method: 'GET', target: path, host: 'api.bench.test', headers: () => ['no'] },
    now: 0,
  };
}

/** Three of four are allowed. */
export function requestsFor(rules: number, count: number): AccessRequest[] {
  return Array.from({ length: count }, (_, number) => {
    const at = (number * 7919) % rules;
    return requestFor(at, pathOf(number % 4 === 0 ? at + 1 : at));
  });
}

function idOf(at: number): string {
  return `spiffe://bench.test/ns/team-${at}/sa/web`;
}

function pathOf(at: number): string {
  return `/v1/items/${at}/state`;
}
