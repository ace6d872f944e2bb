import { connectionRules } from './connection-rules.ts';
import { decisionRules } from './decision-rules.ts';
import { requestRules } from './request-rules.ts';

/** What is found in configurations of Envoy, by its code. Codes keep their meaning from release to release. */
export const lintRules: typeof connectionRules & typeof requestRules & typeof decisionRules = {
  ...connectionRules,
  ...requestRules,
  ...decisionRules,
};

export type LintCode = keyof typeof lintRules;
