import type { Decision } from '../authz/deciding.ts';
import type { Metrics } from '../ops/index.ts';
import type { CheckRecord } from './check-handler.ts';

/** Rules with a count of their own; more of them are counted together, so that metrics stay bounded. */
const MAX_RULES = 2_000;
const OTHERS = 'others';
const LATENCY_BUCKETS = [
  5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 1e-2, 5e-2, 0.25,
];

/**
 * Counts decisions and times them. Rules are counted for the set of policies in force: what is no more
 * has no count any more either.
 */
export function createDecisionMetrics(metrics: Metrics): (record: CheckRecord) => void {
  const decisions = metrics.counter(
    'trustplane_authz_decisions_total',
    'Requests decided, by reason.',
    ['reason'],
  );
  const latency = metrics.histogram(
    'trustplane_authz_decision_seconds',
    "From a request's bytes to the decision, inside the process.",
    LATENCY_BUCKETS,
  );
  const countRule = createRuleCounter(metrics);
  const reasons = new Map<string, { readonly reason: string }>();
  return ({ decision, latencyMicros }) => {
    const { reason } = decision;
    latency.observe(latencyMicros / 1e6);
    let labels = reasons.get(reason);
    if (labels === undefined) reasons.set(reason, (labels = { reason }));
    decisions.inc(labels);
    countRule(decision);
  };
}

function createRuleCounter(metrics: Metrics): (decision: Decision) => void {
  const rules = metrics.counter(
    'trustplane_authz_rule_decisions_total',
    'Requests decided by each rule of the policies in force (of more than 2000 rules the later ones are "others").',
    ['policy', 'rule', 'reason'],
  );
  const known = new Map<string, Readonly<Record<'policy' | 'rule' | 'reason', string>>>();
  let digest: string | undefined;
  return ({ reason, policy, ruleId, policyDigest }) => {
    if (policy === undefined || ruleId === undefined) return;
    if (policyDigest !== digest) {
      digest = policyDigest;
      known.clear();
      rules.reset();
    }
    const key = `${reason} ${policy}/${ruleId}`;
    let labels = known.get(key);
    if (labels === undefined) {
      const isRoom = known.size < MAX_RULES;
      labels = isRoom ? { policy, rule: ruleId, reason } : { policy: OTHERS, rule: OTHERS, reason };
      if (isRoom) known.set(key, labels);
    }
    rules.inc(labels);
  };
}
