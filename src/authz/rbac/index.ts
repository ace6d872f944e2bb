/** Compiles the policies of a service to matcher trees of Envoy's RBAC; pure, and fit for a browser. */

export { compileRbac } from './compile-rbac.ts';
export type {
  MatchAction,
  Matcher,
  MatchInput,
  MatchList,
  MatchMap,
  Predicate,
  ValueMatch,
} from './matcher.ts';
export type { CompiledRbac, RbacOptions, RbacTerms, RuleShare } from './rbac-options.ts';
