/** Compiles the policies of a service to matcher trees of Envoy's RBAC; pure, and fit for a browser. */

export { attributeFilter } from './attribute-filters.ts';
export { compileForCheck, compileRbac } from './compile-rbac.ts';
export { encodeRbac, encodeRbacExtension } from './encode-rbac.ts';
export {
  type EnvoyVersion,
  hasConnectionState,
  isBefore,
  layoutFor,
  parseEnvoyVersion,
} from './envoy-versions.ts';
export { evaluateMatcher, type MatchFacts } from './evaluate-matcher.ts';
export type {
  MatchAction,
  Matcher,
  MatchInput,
  MatchList,
  MatchMap,
  Predicate,
  ValueMatch,
} from './matcher.ts';
export { rbacJson } from './rbac-json.ts';
export { type RbacMessage, type RbacParts, rbacMessage } from './rbac-message.ts';
export type { CompiledRbac, RbacOptions, RbacTerms, RuleShare } from './rbac-options.ts';
export {
  askUnlessAllowed,
  discoverFilters,
  messageFor,
  type RbacMode,
  sourceOfConnection,
  staticFilters,
} from './static-filters.ts';
