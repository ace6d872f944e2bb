import type { LoadedPolicies } from '../app/load-policies.ts';
import {
  type AccessRequest,
  type Decision,
  decide,
  type Explanation,
  explain,
  type Policy,
} from '../authz/index.ts';
import { compileRbac, type RuleShare } from '../authz/rbac/index.ts';
import type { AccessLogEntry, RbacVerdict } from '../envoy/index.ts';
import { SpiffeId } from '../spiffe/index.ts';
import { type EnvoyAnswer, envoyAnswer } from './envoy-answer.ts';
import { buildRequest, type RequestOptions } from './explained-request.ts';
import { missingPolicy } from './missing-policy.ts';
import { unknownTerms } from './service-rules.ts';
import { UnknownFacts } from './unknown-facts.ts';

/** Where a rule stands. */
export interface PlacedRule {
  readonly policy: string;
  readonly rule: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** What Envoy did with a request, and what the engine says to the same. */
export interface EnvoyExplanation {
  /** Of the access log, from 1. */
  readonly line: number;
  readonly caller: string | undefined;
  /** Method and path; undefined: a connection, or not known. */
  readonly request: string | undefined;
  readonly envoy: EnvoyAnswer & { readonly rule: PlacedRule | undefined };
  /** What it would be with all stages enforced. */
  readonly draft: (RbacVerdict & { readonly rule: PlacedRule | undefined }) | undefined;
  /** Undefined: the request is not known. */
  readonly engine:
    | (Pick<Decision, 'isAllowed' | 'reason'> & { readonly rule: PlacedRule | undefined })
    | undefined;
  readonly nearest: Explanation['nearest'];
  /** `unknown`: that it is another may come from what is not known. */
  readonly agreement: 'same' | 'differs' | 'unknown';
  readonly why: string | undefined;
  /** What rules ask for that neither the line nor a flag says, where it may change what the engine says. */
  readonly unknown: readonly string[];
}

/** Explains lines of access logs by policies. Flags say what lines do not, and prevail. */
export class AccessLogExplainer {
  readonly #loaded: LoadedPolicies;
  readonly #options: RequestOptions;
  readonly #unknown: UnknownFacts;
  readonly #sharesOf = new Map<string, readonly RuleShare[]>();

  constructor(loaded: LoadedPolicies, options: RequestOptions) {
    this.#loaded = loaded;
    this.#options = options;
    this.#unknown = new UnknownFacts(
      loaded.policies.map(({ policy }) => policy),
      options,
    );
  }

  /** `isNear`: with the rules that came nearest, for which all are looked at. @throws TrustplaneError as buildRequest */
  async explain(line: number, entry: AccessLogEntry, isNear: boolean): Promise<EnvoyExplanation> {
    const asked = { ...optionsOf(entry), ...this.#options };
    const isKnown = entry.isWhole || asked.as !== undefined || asked.request !== undefined;
    const answer = envoyAnswer(entry);
    const placed = (name: string | undefined) => this.#ruleNamed(asked, name);
    const envoy = { ...answer, rule: placed(answer.name) };
    const base = {
      line,
      caller: asked.as ?? entry.peer,
      request: asked.request,
      envoy,
      draft: entry.draft && { ...entry.draft, rule: placed(entry.draft.name) },
    };
    if (!isKnown) return { ...base, ...compare(envoy, undefined), ...nothing };
    const request = await buildRequest(asked, this.#loaded);
    const { plan } = this.#loaded;
    const { decision, nearest } = isNear
      ? explain(plan, request)
      : { decision: decide(plan, request), nearest: [] };
    const unknown = this.#unknown.thatMatter(this.#policiesOf(request.service), request);
    const left = (): string | undefined => leftToCheck(this.#shares(request), decision);
    const { isAllowed, reason, ruleId, policy = '' } = decision;
    const rule = ruleId === undefined ? undefined : this.#place(policy, ruleId);
    return {
      ...base,
      engine: { isAllowed, reason, rule },
      nearest,
      ...compare(envoy, { isAllowed, unknown, left }),
      ...(reason === 'policy_missing' && {
        why: missingPolicy(request.service, this.#loaded.policies),
      }),
      unknown,
    };
  }

  /** What of the rules Envoy decides. */
  #shares({ service, http }: AccessRequest): readonly RuleShare[] {
    const target = http === undefined ? 'network' : 'http';
    const key = JSON.stringify([service.spiffeId, service.contextExtension, target]);
    const policies = this.#loaded.policies.map(({ policy }) => policy);
    const shares =
      this.#sharesOf.get(key) ??
      compileRbac({ policies, service, target, layout: 'nested', terms: unknownTerms }).shares;
    this.#sharesOf.set(key, shares);
    return shares;
  }

  /** The rule that an action is called after, by its ID or as policy/rule; undefined for guards and defaults, and where there is none. */
  #ruleNamed(
    { service: spiffeId, contextExtension }: RequestOptions,
    name = '',
  ): PlacedRule | undefined {
    const [policy = '', rule] = name.split('/');
    if (rule !== undefined) return this.#place(policy, rule);
    const [only, ...others] = this.#policiesOf({ spiffeId, contextExtension }).filter(({ rules }) =>
      rules.some(({ id }) => id === name),
    );
    return only === undefined || others.length > 0
      ? undefined
      : this.#place(only.metadata.name, name);
  }

  #place(policy: string, rule: string): PlacedRule | undefined {
    const read = this.#loaded.policies.find((one) => one.policy.metadata.name === policy);
    const index = read?.policy.rules.findIndex(({ id }) => id === rule) ?? -1;
    if (read === undefined || index === -1) return undefined;
    const { document } = read;
    return { policy, rule, file: document.file, ...document.position(['rules', index]) };
  }

  /** All, where the service is not known. */
  #policiesOf(service: AccessRequest['service']): readonly Policy[] {
    const isAny = service.spiffeId === undefined && service.contextExtension === undefined;
    return this.#loaded.policies
      .map(({ policy }) => policy)
      .filter((policy) => isAny || isOf(policy, service));
  }
}

function isOf({ service }: Policy, asked: AccessRequest['service']): boolean {
  if ('contextExtension' in service) return service.contextExtension === asked.contextExtension;
  return asked.spiffeId !== undefined && service.matches(asked.spiffeId);
}

function optionsOf(entry: AccessLogEntry): RequestOptions {
  const { time, method, path, authority, sourceIp, destinationPort, service } = entry;
  return {
    caller: callerOf(entry.peer),
    ...(service !== undefined && { service }),
    ...(method !== undefined && path !== undefined && { request: `${method} ${path}` }),
    ...(authority !== undefined && { host: authority }),
    ...(sourceIp !== undefined && { ip: sourceIp }),
    ...(destinationPort !== undefined && { port: destinationPort }),
    ...(time !== undefined && { at: time / 1_000 }),
  };
}

function callerOf(peer: string | undefined): AccessRequest['caller'] {
  if (peer === undefined) return 'unauthenticated';
  try {
    return SpiffeId.parse(peer);
  } catch {
    return 'bad_svid';
  }
}

const nothing = { engine: undefined, nearest: [], unknown: [] };

/** What the engine says, and what may explain that it is another. */
interface EngineAnswer {
  readonly isAllowed: boolean;
  readonly unknown: readonly string[];
  /** Why it is left to Check; undefined: it is not. */
  readonly left: () => string | undefined;
}

function compare(
  envoy: EnvoyExplanation['envoy'],
  engine: EngineAnswer | undefined,
): Pick<EnvoyExplanation, 'agreement' | 'why'> {
  const unknown = (why: string) => ({ agreement: 'unknown', why }) as const;
  if (envoy.isAllowed === undefined) return unknown(envoy.means);
  if (engine === undefined && envoy.isRule && envoy.rule === undefined)
    return unknown(`these policies have no rule ${envoy.name ?? ''}, or several`);
  if (engine === undefined)
    return unknown('the line does not hold the request; say it with --as, --request and --service');
  if (envoy.isAllowed === engine.isAllowed) return { agreement: 'same', why: undefined };
  if (envoy.isOfFacts) return unknown('who is trusted or revoked is not in the policies');
  if (engine.unknown.length > 0) return unknown(`not known: ${engine.unknown.join(', ')}`);
  const differs = (why: string) => ({ agreement: 'differs', why }) as const;
  if (envoy.by === 'rbac' && envoy.name === 'policy_missing')
    return differs('Envoy had no rules then');
  if (envoy.isRule && envoy.rule === undefined)
    return differs(`these policies have no rule ${envoy.name ?? ''}: Envoy had others`);
  const left = engine.isAllowed && envoy.by === 'rbac' ? engine.left() : undefined;
  return differs(left ?? 'Envoy had other policies then, or has not taken these');
}

/** Why a rule that allows does not in Envoy. */
function leftToCheck(
  shares: readonly RuleShare[],
  { policy, ruleId }: Decision,
): string | undefined {
  const share = shares.find((one) => one.policy === policy && one.rule === ruleId);
  if (share === undefined || share.decidedBy === 'envoy') return undefined;
  const { why = 'Envoy cannot' } = share;
  return `${share.policy}/${share.rule} is decided by Check: ${why}`;
}
