import type { AccessLogEntry } from '../envoy/index.ts';

/** What became of a request, by what a line of the access log tells. */
export interface EnvoyAnswer {
  readonly by: 'rbac' | 'check' | 'nobody';
  /** Undefined: the line does not tell. */
  readonly isAllowed: boolean | undefined;
  /** Of a rule, a guard or a default. */
  readonly name: string | undefined;
  /** The same in words. */
  readonly means: string;
  /** The name is none of a guard or a default. */
  readonly isRule: boolean;
  /** It depends on who is trusted and who is revoked. */
  readonly isOfFacts: boolean;
}

const meanings: ReadonlyMap<string, string> = new Map([
  ['bad_svid', 'the certificate of the caller has not exactly one URI SAN that is a SPIFFE ID'],
  ['unknown_trust_domain', 'the trust domain of the caller, or its ID within it, is not trusted'],
  ['revoked', 'the ID or the certificate of the caller is revoked'],
  ['non_canonical_path', 'the path has a spelling that servers read in several ways'],
  ['non_canonical_host', 'the host has a spelling that servers read in several ways'],
  ['unauthenticated', 'the caller showed no certificate, and no rule is for anyone'],
  ['no_rule_matched', 'no rule that Envoy may decide by alone allows it'],
  ['policy_missing', 'Envoy has no rules: none came yet, or there is no policy for the service'],
  ['ask_check', 'it is for Check to decide'],
]);
/** A denial is in the details. */
const OPEN =
  'Envoy names no rule of a connection that it lets in, or that ends before its first byte';
const ofFacts = new Set(['unknown_trust_domain', 'revoked']);

/** RBAC's word where it is the last one, else Check's. */
export function envoyAnswer(entry: AccessLogEntry): EnvoyAnswer {
  const { enforced, alone, check } = entry;
  if (enforced?.isAllowed === false) return rbacAnswer(false, enforced.name);
  if (alone?.isAllowed === true) return rbacAnswer(true, alone.name);
  if (check !== undefined) return checkAnswer(check);
  if (alone !== undefined || enforced?.name === 'ask_check') return unsaidAnswer(entry);
  if (enforced !== undefined) return rbacAnswer(true, enforced.name);
  const { details = 'it says nothing of RBAC' } = entry;
  if (entry.isWhole && entry.method === undefined && entry.details === undefined)
    return answer('rbac', undefined, undefined, OPEN);
  return answer('nobody', undefined, undefined, `neither RBAC nor Check was asked: ${details}`);
}

function rbacAnswer(isAllowed: boolean, name: string | undefined): EnvoyAnswer {
  const known = name === undefined ? undefined : meanings.get(name);
  if (known !== undefined) return answer('rbac', isAllowed, name, known);
  if (name === undefined) return answer('rbac', isAllowed, name, 'by no rule that it names');
  const means = isAllowed ? 'the rule allows it' : 'the rule denies it';
  return { ...answer('rbac', isAllowed, name, means), isRule: true };
}

function checkAnswer({ reason, policy, rule }: NonNullable<AccessLogEntry['check']>): EnvoyAnswer {
  const isAllowed = reason === 'allowed_by_rule';
  const name = rule === undefined ? reason : `${policy ?? ''}/${rule}`;
  const means = meanings.get(reason) ?? `Check says ${reason}`;
  return {
    ...answer('check', isAllowed, name, reason === 'no_rule_matched' ? 'no rule allows it' : means),
    isRule: rule !== undefined,
    isOfFacts: ofFacts.has(reason),
  };
}

/** Check was to be asked, and its word is not in the line. */
function unsaidAnswer({ details = '' }: AccessLogEntry): EnvoyAnswer {
  const of = (isAllowed: boolean | undefined, means: string): EnvoyAnswer =>
    answer('check', isAllowed, undefined, means);
  if (details === 'ext_authz_denied') return of(false, 'Check denied it, and did not say why');
  if (details === 'ext_authz_error') return of(false, 'Check did not answer');
  if (details === 'via_upstream') return of(true, 'Check allowed it, and did not say why');
  return of(undefined, 'RBAC left it to Check, and what Check said is not in the line');
}

function answer(
  by: EnvoyAnswer['by'],
  isAllowed: boolean | undefined,
  name: string | undefined,
  means: string,
): EnvoyAnswer {
  return {
    by,
    isAllowed,
    name,
    means,
    isRule: false,
    isOfFacts: name !== undefined && ofFacts.has(name),
  };
}
