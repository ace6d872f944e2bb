/** What of the room decides, without what reads policies: threads that have to begin soon load no more. */
export type { AccessRequest } from './access-request.ts';
export { failedDecision } from './decide.ts';
export { type CallerDecision, decideEither } from './decide-either.ts';
export type { Decision, StagedDecision } from './decision.ts';
export { openPlan } from './open-plan.ts';
export { packPlan } from './pack-plan.ts';
export { parseIdPattern, parsePathPattern } from './parse-patterns.ts';
export type { Plan } from './plan.ts';
export type { Policy } from './policy.ts';
export { promotePolicies } from './stages.ts';
