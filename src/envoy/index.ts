/** Envoy's own configuration: writes sidecars that are safe, and finds what is dangerous in others. */

export {
  type AccessLogEntry,
  maxAccessLogLineBytes,
  parseAccessLogEntry,
  type RbacVerdict,
} from './access-log-entry.ts';
export { type BootstrapFlags, parseBootstrapFlags } from './bootstrap/parse-flags.ts';
export { writeBootstrapJson, writeBootstrapYaml } from './bootstrap/write-bootstrap.ts';
export {
  type ConfigText,
  type EnvoyLint,
  type EnvoyLintFinding,
  fixEnvoy,
  lintEnvoy,
} from './lint/lint-envoy.ts';
export type { LintRule, LintSeverity } from './lint/lint-rule.ts';
export { lintRules } from './lint/lint-rules.ts';
