import { SpiffeId } from '../spiffe/spiffe-id.ts';
import type { AccessRequest } from './access-request.ts';
import { decide } from './decide.ts';
import type { Decision } from './decision.ts';
import { Pattern, sampleOf } from './pattern.ts';
import type { Plan } from './plan.ts';
import type { Policy, PolicyTest } from './policy.ts';
import { enforceAll } from './stages.ts';

/** A test of a policy that came out otherwise than it says. */
export interface FailedTest {
  /** Its place in `tests`. */
  readonly index: number;
  readonly message: string;
}

/** Runs the tests of one policy against a plan, which has other policies of the service too, as if every stage were enforced. `now`: where a test has no `at`. */
export function runTests(plan: Plan, policy: Policy, now: number): FailedTest[] {
  const enforced = enforceAll(plan);
  return (policy.tests ?? []).flatMap((test, index) => {
    const decision = decide(enforced, requestOf(test, policy, now));
    const message = differenceOf(test, decision);
    return message === undefined ? [] : [{ index, message }];
  });
}

/** A service that a policy is for, as a request names it. */
export function sampleService({ service }: Policy): AccessRequest['service'] {
  return service instanceof Pattern
    ? { spiffeId: sampleOf(service) }
    : { contextExtension: service.contextExtension };
}

/** What a test asks. `now`: where it names no time. */
export function requestOf(test: PolicyTest, policy: Policy, now: number): AccessRequest {
  const { as, service, jwt, ip, port, at, destinationIp, credential, body = 0 } = test;
  return {
    service: service === undefined ? sampleService(policy) : { spiffeId: service },
    caller: as === undefined ? 'unauthenticated' : SpiffeId.parse(as),
    credential,
    http: httpOf(test),
    bodyBytes: body,
    claims: jwt,
    sourceIp: ip,
    destinationIp,
    destinationPort: port,
    now: at ?? now,
  };
}

function httpOf({ request, grpc, host, headers = {} }: PolicyTest): AccessRequest['http'] {
  const line = grpc === undefined ? request : { method: 'POST', target: `/${grpc}` };
  if (line === undefined) return undefined;
  const given = grpc === undefined ? headers : { 'content-type': 'application/grpc', ...headers };
  return {
    ...line,
    host,
    headers: (name) => (Object.hasOwn(given, name) ? [given[name] ?? []].flat() : []),
  };
}

function differenceOf(test: PolicyTest, decision: Decision): string | undefined {
  const { isAllowed, reason, ruleId, headers } = decision;
  const came = `${isAllowed ? 'allow' : 'deny'}, ${reason}${ruleId === undefined ? '' : ` by ${ruleId}`}`;
  const isOther =
    (test.expect === 'allow') !== isAllowed ||
    (test.rule ?? ruleId) !== ruleId ||
    (test.reason ?? reason) !== reason;
  const wanted = [test.expect, test.reason, test.rule]
    .filter((one) => one !== undefined)
    .join(', ');
  if (isOther) return `expected ${wanted}; came ${came}`;
  const header = Object.entries(test.map ?? {}).find(
    ([name, value]) => headers.get(name) !== value,
  );
  if (header === undefined) return undefined;
  const [name, value] = header;
  return `expected the header ${name}: ${value}; came ${headers.get(name) ?? 'none'}`;
}
