import { createHash } from 'node:crypto';
import type { Policy } from '../authz/index.ts';
import {
  type CompiledRbac,
  compileRbac,
  encodeRbacExtension,
  type Matcher,
  type RbacTerms,
  type RuleShare,
  rbacMessage,
} from '../authz/rbac/index.ts';
import { IdScope, TrustDomain } from '../spiffe/index.ts';
import { findBlamed } from './find-blamed.ts';
import type { ExportedRbac, PlainTerms, RbacOrder } from './rbac-export.ts';

const MAX_LEFT = 20;
const MAX_BLAMED = 8;
const VERSION_DIGITS = 32;

/** Compiles and encodes the rules of a service. @throws TrustplaneError ERR_RBAC_* */
export function exportRbac(policies: readonly Policy[], order: RbacOrder): ExportedRbac {
  const compiled = compileOrder(policies, order);
  const target = targetOf(order);
  const { perRuleStats } = order;
  const message = rbacMessage({ ...treesOf(compiled, order), perRuleStats, target });
  const encoded = encodeRbacExtension(order.name, message);
  // Of its own buffer, which then goes to another thread.
  const bytes = new Uint8Array(encoded);
  const version = createHash('sha256').update(bytes).digest('hex').slice(0, VERSION_DIGITS);
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
  const { matcher, shadow } = treesOf(compiled, order);
  const names = findBlamed([matcher, ...(shadow === undefined ? [] : [shadow])], refusal);
  const rules = [...names].map((name) => {
    const rule = compiled.names.get(name);
    return rule === undefined ? name : `${rule.policy}/${rule.rule}`;
  });
  return rules.slice(0, MAX_BLAMED);
}

function compileOrder(policies: readonly Policy[], order: RbacOrder): CompiledRbac {
  const { service, layout, terms } = order;
  const target = targetOf(order);
  return compileRbac({ policies, service, target, layout, terms: richTerms(terms) });
}

/** What decides, and what is only counted. */
interface Trees {
  readonly matcher: Matcher;
  readonly shadow?: Matcher;
  readonly statPrefix: string;
  readonly shadowStatPrefix?: string;
}

function treesOf({ alone, beforeCheck, draft }: CompiledRbac, { kind }: RbacOrder): Trees {
  if (kind === 'rbac-before-check')
    return {
      matcher: beforeCheck,
      shadow: alone,
      statPrefix: 'tp_',
      shadowStatPrefix: 'tp_alone_',
    };
  const shown = { matcher: alone, statPrefix: 'tp_' };
  return draft === undefined ? shown : { ...shown, shadow: draft, shadowStatPrefix: 'tp_draft_' };
}

function targetOf({ kind }: RbacOrder): 'http' | 'network' {
  return kind === 'network-rbac' ? 'network' : 'http';
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
