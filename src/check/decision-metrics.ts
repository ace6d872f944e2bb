import type { Metrics } from '../ops/index.ts';
import type { CheckRecord } from './check-handler.ts';

/** Rules with a count of their own; more of them are counted together, so that metrics stay bounded. */
const MAX_RULES = 2_000;
const OTHERS = 'others';

/** Counts decisions by reason, policy and rule. */
export function createDecisionMetrics(metrics: Metrics): (record: CheckRecord) => void {
  const counter = metrics.counter(
    'trustplane_authz_decisions_total',
    `Requests decided, by reason, policy and rule (of more than ${MAX_RULES} rules the later ones are "${OTHERS}").`,
    ['reason', 'policy', 'rule'],
  );
  const counts = new Map<string, { inc(): void }>();
  return ({ decision: { reason, policy = '', ruleId = '' } }) => {
    const key = `${reason} ${policy} ${ruleId}`;
    let count = counts.get(key);
    if (count === undefined) {
      const isRoom = counts.size < MAX_RULES || ruleId === '';
      const labels = isRoom ? { policy, rule: ruleId } : { policy: OTHERS, rule: OTHERS };
      const child = { reason, ...labels };
      count = { inc: () => counter.inc(child) };
      if (isRoom) counts.set(key, count);
    }
    count.inc();
  };
}
