/** Decides who may do what: policies, checked and compiled to a plan, and decisions; pure, and fit for a browser. */

export type { AccessRequest } from './access-request.ts';
export { canonicalText } from './canonical-text.ts';
export { compilePlan } from './compile-plan.ts';
export { decide, failedDecision } from './decide.ts';
export type { Decision } from './decision.ts';
export { type Explanation, explain } from './explain.ts';
export { openPlan } from './open-plan.ts';
export { packPlan } from './pack-plan.ts';
export { packPolicy, unpackPolicy } from './packed-json.ts';
export { parseIdPattern } from './parse-patterns.ts';
export type { Plan } from './plan.ts';
export type { PlanImage } from './plan-image.ts';
export type { Policy } from './policy.ts';
export { policyJsonSchema, policySchema } from './policy-schema.ts';
export { runTests, sampleService } from './run-tests.ts';
