import type { CompiledRbac, MatchAction } from '../../src/authz/rbac/index.ts';
import { urisOf } from './certificate-shapes.ts';
import { evaluate, findMatches, type Verdict } from './evaluate.ts';
import type { PolicyDocument } from './policy-document.ts';
import { gateway, revokedLongAgo } from './random-policies.ts';
import type { Asked } from './random-questions.ts';

/** What an action of a tree must be true of. */
export interface Truth {
  readonly verdict: Verdict;
  /** As if every policy were enforced. */
  readonly draft: Verdict;
  /** As policy/rule. */
  readonly matches: ReadonlySet<string>;
  readonly question: Asked;
}

type Share = (id: string, percent: number) => boolean;

export function truthOf(
  documents: readonly PolicyDocument[],
  question: Asked,
  share: Share,
): Truth {
  const enforced = documents.map((document) => ({
    ...document,
    mode: { stage: 'enforce' } as const,
  }));
  return {
    question,
    verdict: evaluate(documents, question, share),
    draft: evaluate(enforced, question, share),
    matches: new Set([
      ...findMatches(documents, question),
      ...findMatches(documents, asCertified(question)),
    ]),
  };
}

/** Rules match, or do not, whether the caller is refused or not. */
function asCertified(question: Asked): Asked {
  const [uri, ...others] = urisOf(question.as);
  const isOne = uri !== undefined && others.length === 0;
  return isOne ? { ...question, caller: { id: uri } } : question;
}

/** Refusals that are made before any rule is asked. */
const guards: ReadonlySet<string> = new Set([
  'bad_svid',
  'unknown_trust_domain',
  'revoked',
  'non_canonical_path',
  'non_canonical_host',
]);

/** What is wrong with what the tree says that decides without Check; undefined: nothing. */
export function faultOfAlone(
  compiled: CompiledRbac,
  said: MatchAction | undefined,
  { verdict, matches, question }: Truth,
): string | undefined {
  const isAllowed = verdict.reason === 'allowed_by_rule';
  const isSaid = said?.action === 'ALLOW';
  if (isSaid && !isAllowed) return `allowed by ${said.name}`;
  if (isSaid && question.http !== undefined && verdict.owned.size > 0)
    return 'headers of policies are left as they came';
  if (isAllowed && !isSaid && isWhole(compiled, question))
    return `denied by ${said?.name ?? 'no match'}`;
  return faultOfName(compiled, said, matches);
}

/** And with the tree of which what it does not deny is for Check. */
export function faultOfBeforeCheck(
  compiled: CompiledRbac,
  said: MatchAction | undefined,
  { verdict, matches }: Truth,
): string | undefined {
  if (said?.action === 'ALLOW') return undefined;
  if (verdict.reason === 'allowed_by_rule') return `denied by ${said?.name ?? 'no match'}`;
  const isRefusal = said !== undefined && guards.has(said.name);
  if (isRefusal && !guards.has(verdict.reason)) return `refused by ${said.name}`;
  return faultOfName(compiled, said, matches);
}

/** And with a draft, if there is one. */
export function faultOfDraft(
  compiled: CompiledRbac,
  said: MatchAction | undefined,
  { draft, matches }: Truth,
): string | undefined {
  const isAllowed = draft.reason === 'allowed_by_rule';
  if (said?.action === 'ALLOW' && !isAllowed) return `draft allowed by ${said.name}`;
  return faultOfName(compiled, said, matches);
}

/** Who is named decided. */
function faultOfName(
  { names, shares }: CompiledRbac,
  said: MatchAction | undefined,
  matches: ReadonlySet<string>,
): string | undefined {
  const named = said && names.get(said.name);
  if (said === undefined || named === undefined) {
    return said?.action === 'ALLOW' && said.name !== 'ask_check'
      ? `${said.name} is no rule`
      : undefined;
  }
  const { policy, rule } = named;
  if (!matches.has(`${policy}/${rule}`)) return `${said.name} does not match`;
  const share = shares.find((one) => one.policy === policy && one.rule === rule);
  const effect = said.action === 'ALLOW' ? 'allow' : 'deny';
  return share?.effect === effect ? undefined : `${said.name} does not ${effect}`;
}

/** Envoy decides it all, and nothing of the request is for others to tell. */
export function isWhole({ shares }: CompiledRbac, question: Asked): boolean {
  const { as, shows, http } = question;
  const isPlain = as !== gateway && as !== revokedLongAgo && shows === undefined;
  return (
    isPlain &&
    http?.target.includes(';') !== true &&
    shares.every(({ decidedBy }) => decidedBy === 'envoy')
  );
}

/** Without what only requests have; undefined of a proxy that speaks for others, which it cannot by a connection. */
export function asConnection(asked: Asked): Asked | undefined {
  const { as, service, caller, sourceIp, destinationIp, port, now } = asked;
  if (as === gateway) return undefined;
  const sent = { octets: 0, how: 'none' } as const;
  return { as, service, caller, sourceIp, destinationIp, port, now, sent };
}
