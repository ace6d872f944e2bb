import type { Policy } from '../authz/index.ts';
import {
  type CompiledRbac,
  compileRbac,
  messageFor,
  type RbacTerms,
  type RuleShare,
} from '../authz/rbac/index.ts';
import { IdScope, TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import { findBlamed } from './find-blamed.ts';
import type { ExportedRbac, PlainTerms, RbacOrder } from './rbac-export.ts';
import { sealRbac } from './seal-rbac.ts';

const modes = {
  rbac: 'alone',
  'rbac-before-check': 'before-check',
  'network-rbac': 'network',
} as const;
const MAX_LEFT = 20;
const MAX_BLAMED = 8;
/** What the agent's socket sends at most, with room for what stands around it. */
const MAX_BYTES = 60 * 1024 * 1024;

/** Compiles and encodes the rules of a service. @throws TrustplaneError ERR_RBAC_* */
export function exportRbac(policies: readonly Policy[], order: RbacOrder): ExportedRbac {
  const compiled = compileOrder(policies, order);
  const message = messageFor(modes[order.kind], compiled, order.perRuleStats);
  const { bytes, version } = sealRbac(order.name, message);
  if (bytes.length > MAX_BYTES)
    throw new TrustplaneError(
      'ERR_RBAC_LIMIT',
      `the rules of ${order.service.spiffeId} come to ${bytes.length} bytes; an Envoy is given at most ${MAX_BYTES}: leave them to Check, or divide the service`,
    );
  return {
    bytes,
    version,
    shares: countShares(compiled.shares),
    left: compiled.shares
      .filter(({ decidedBy }) => decidedBy === 'check')
      .slice(0, MAX_LEFT)
      .map(({ policy, rule, why }) => `${policy}/${rule}${why === undefined ? '' : `: ${why}`}`),
  };
}

/** The rules, as `policy/rule`, that Envoy's refusal is about; some, where it may be several. */
export function blameRules(
  policies: readonly Policy[],
  order: RbacOrder,
  refusal: string,
): readonly string[] {
  const compiled = compileOrder(policies, order);
  const { matcher, shadow } = messageFor(modes[order.kind], compiled, false);
  const names = findBlamed(shadow === undefined ? [matcher] : [matcher, shadow], refusal);
  const rules = [...names].map((name) => {
    const rule = compiled.names.get(name);
    return rule === undefined ? name : `${rule.policy}/${rule.rule}`;
  });
  return rules.slice(0, MAX_BLAMED);
}

function compileOrder(policies: readonly Policy[], order: RbacOrder): CompiledRbac {
  const { service, kind, layout, terms } = order;
  const target = kind === 'network-rbac' ? 'network' : 'http';
  return compileRbac({ policies, service, target, layout, terms: richTerms(terms) });
}

function richTerms({ trusted, ...terms }: PlainTerms): RbacTerms {
  return {
    ...terms,
    trusted: trusted.map(({ trustDomain, accept }) => {
      const domain = TrustDomain.parse(trustDomain);
      return { trustDomain, accept: accept?.map((scope) => IdScope.parse(scope, domain)) };
    }),
  };
}

function countShares(shares: readonly RuleShare[]): ExportedRbac['shares'] {
  const counts = { envoy: 0, check: 0, both: 0 };
  for (const { decidedBy } of shares) counts[decidedBy]++;
  return counts;
}
