import type { LoadedPolicies } from '../app/load-policies.ts';
import type { Policy } from '../authz/index.ts';
import type {
  CompiledRbac,
  EnvoyVersion,
  RbacMode,
  RbacOptions,
  RbacTerms,
} from '../authz/rbac/index.ts';
import { quote, TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import { missingPolicy } from './missing-policy.ts';
import { soleService } from './sole-service.ts';

/** What is to be exported, and for which Envoy. */
export interface ExportOptions {
  readonly service?: string;
  readonly policyName?: string;
  readonly mode: RbacMode;
  readonly as: 'filters' | 'resource';
  readonly layout?: RbacOptions['layout'];
  readonly envoyVersion?: string;
  readonly trustDomain?: readonly string[];
  readonly tokenHeader?: readonly string[];
  readonly proxy?: readonly string[];
  readonly perRuleStats?: boolean;
  readonly split?: boolean;
  readonly output: 'yaml' | 'json';
  readonly outputFile?: string;
}

/** The rules of one service, and of which policies. */
export interface ServiceRules {
  readonly compiled: CompiledRbac;
  /** The service, for people. */
  readonly service: string;
  readonly layout: RbacOptions['layout'];
  /** Undefined: not said. */
  readonly version: EnvoyVersion | undefined;
  readonly digest: string;
}

const HEADER = /^[\w!#$%&'*+.^`|~-]{1,256}$/u;

/** @throws TrustplaneError ERR_USAGE, ERR_RBAC_* */
export async function compileService(
  loaded: LoadedPolicies,
  options: ExportOptions,
): Promise<ServiceRules> {
  const { compileRbac, layoutFor, parseEnvoyVersion } = await import('../authz/rbac/index.ts');
  const { mode, envoyVersion } = options;
  const version = envoyVersion === undefined ? undefined : parseEnvoyVersion(envoyVersion);
  const policies = loaded.policies.map(({ policy }) => policy);
  const service = await serviceOf(policies, options);
  const layout =
    version === undefined ? (options.layout ?? 'nested') : layoutFor(version, options.layout);
  const target = mode === 'network' ? 'network' : 'http';
  const compiled = compileRbac({ policies, service, target, layout, terms: termsOf(options) });
  const name = service.spiffeId ?? service.contextExtension ?? '';
  return { compiled, service: name, layout, version, digest: loaded.plan.digest };
}

async function serviceOf(
  policies: readonly Policy[],
  { service, policyName }: ExportOptions,
): Promise<RbacOptions['service']> {
  if (service === undefined && policyName === undefined)
    return await soleService(
      policies,
      'the policies are for several services, and an Envoy runs the rules of one; name it with --service or --policy-name',
    );
  const named = { spiffeId: service, contextExtension: policyName };
  const isAny = policies.some(({ service: of }) =>
    'contextExtension' in of
      ? of.contextExtension === policyName
      : service !== undefined && of.matches(service),
  );
  if (isAny) return named;
  const why = missingPolicy(
    named,
    policies.map((policy) => ({ policy })),
  );
  throw new TrustplaneError('ERR_USAGE', `there is nothing to export: ${why}`);
}

/** Who is trusted or revoked is not in policies; claims are where the configuration has them by default. */
export const unknownTerms: RbacTerms = {
  trusted: undefined,
  revokedIds: [],
  revokedSerials: [],
  isBlind: false,
  tokenHeaders: [],
  proxies: [],
  jwt: { namespace: 'envoy.filters.http.jwt_authn', payloadKey: 'jwt_payload' },
};

function termsOf(options: ExportOptions): RbacTerms {
  const { trustDomain, tokenHeader = [], proxy = [] } = options;
  return {
    ...unknownTerms,
    trusted: trustDomain?.map((name) => ({
      trustDomain: TrustDomain.parse(name).name,
      accept: undefined,
    })),
    tokenHeaders: tokenHeader.map(headerName),
    proxies: proxy,
  };
}

function headerName(name: string): string {
  if (HEADER.test(name)) return name.toLowerCase();
  throw new TrustplaneError(
    'ERR_USAGE',
    `--token-header is the name of a header; got ${quote(name)}`,
  );
}
