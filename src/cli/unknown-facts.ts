import { type AccessRequest, compilePlan, decide, type Plan, type Policy } from '../authz/index.ts';
import type { RequestOptions } from './explained-request.ts';

type Rule = Policy['rules'][number];
type Conditions = NonNullable<Rule['when']>;
type Operations = NonNullable<Rule['allow']>;

/** What of requests nobody has said, by what flags say. */
export class UnknownFacts {
  readonly #given: RequestOptions;
  readonly #headers: ReadonlySet<string>;
  /** What is allowed at most and at least, whatever the unknown is. */
  readonly #most: Plan;
  readonly #least: Plan;

  constructor(policies: readonly Policy[], given: RequestOptions) {
    this.#given = given;
    const names = given.header?.map((line) => line.split(':')[0]?.toLowerCase() ?? '');
    this.#headers = new Set(names);
    const planOf = (isMost: boolean): Plan => {
      const bound = (rule: Rule): readonly Rule[] => this.#bound(rule, isMost);
      return compilePlan(
        policies.map((policy) => ({ ...policy, rules: policy.rules.flatMap(bound) })),
        '',
      );
    };
    this.#most = planOf(true);
    this.#least = planOf(false);
  }

  /** What `policies` ask for and is unknown, where it may change whether a request is allowed. */
  thatMatter(policies: readonly Policy[], request: AccessRequest): readonly string[] {
    const { body } = this.#given;
    const most = decide(this.#most, { ...request, bodyBytes: body ?? 0 });
    const least = decide(this.#least, { ...request, bodyBytes: body });
    return most.isAllowed === least.isAllowed ? [] : this.#list(policies);
  }

  #list(policies: readonly Policy[]): readonly string[] {
    const rules = policies.flatMap((policy) => policy.rules);
    const unknown = rules.map(({ when = {} }) => unknownOf(when, this.#given, this.#headers));
    const isOfGrpc = rules.some(({ allow = [], deny = [] }) => [...allow, ...deny].some(isGrpc));
    const headers = unknown.flatMap((one) => one.headers);
    if (isOfGrpc && !this.#headers.has('content-type')) headers.push('content-type');
    const isSized = policies.some(({ request }) => request?.body !== undefined);
    return [
      ...[...new Set(headers)].sort().map((name) => `header ${name} (--header)`),
      ...(unknown.some((one) => one.isOfClaims) ? ['claims (--claims)'] : []),
      ...(unknown.some((one) => one.isOfDestination) ? ['destination IP (--destination-ip)'] : []),
      ...(isSized && this.#given.body === undefined ? ['body size (--body)'] : []),
    ];
  }

  /** A rule whose unknown conditions hold, where that allows more or less as is meant, or else none. */
  #bound(rule: Rule, isMost: boolean): readonly Rule[] {
    const isAllow = rule.allow !== undefined;
    const isWide = isAllow === isMost;
    const { when = {}, map, allow, deny = [], ...rest } = rule;
    const known = knownOf(when, unknownOf(when, this.#given, this.#headers));
    if (!isWide && Object.keys(known).length < Object.keys(when).length) return [];
    const operations = this.#operations(allow ?? deny, isWide);
    if (operations.length === 0) return [];
    const kind = isAllow ? { allow: operations } : { deny: operations };
    return [{ ...rest, ...(isMost ? {} : { map }), when: known, ...kind }];
  }

  #operations(operations: Operations, isWide: boolean): Operations {
    if (this.#headers.has('content-type')) return operations;
    if (!isWide) return operations.filter((operation) => !isGrpc(operation));
    return operations.map((operation) => ({ ...operation, isGrpc: undefined }));
  }
}

interface Unknown {
  readonly headers: readonly string[];
  readonly isOfClaims: boolean;
  readonly isOfDestination: boolean;
}

function unknownOf(
  { headers = {}, jwt, 'destination.ip': destination }: Conditions,
  { claims, destinationIp }: RequestOptions,
  given: ReadonlySet<string>,
): Unknown {
  return {
    headers: Object.keys(headers).filter((name) => !given.has(name)),
    isOfClaims: jwt !== undefined && claims === undefined,
    isOfDestination: destination !== undefined && destinationIp === undefined,
  };
}

function knownOf(when: Conditions, { headers, isOfClaims, isOfDestination }: Unknown): Conditions {
  const { headers: wanted, jwt, 'destination.ip': destination, ...known } = when;
  return {
    ...known,
    ...(wanted !== undefined && headers.length === 0 && { headers: wanted }),
    ...(jwt !== undefined && !isOfClaims && { jwt }),
    ...(destination !== undefined && !isOfDestination && { 'destination.ip': destination }),
  };
}

function isGrpc(operation: Operations[number]): boolean {
  return operation.isGrpc === true;
}
