import {
  type Decision,
  type Plan,
  promotePolicies,
  type StagedDecision,
} from '../authz/deciding.ts';
import type { Log, Metrics } from '../ops/index.ts';

/** What is known of a policy that is tried, as it is written now. */
interface Trial {
  readonly version: number;
  /** In the metrics. */
  readonly label: string;
  decisions: number;
  disagreements: number;
}

/** Policies with a count of their own in the metrics. */
const MAX_COUNTED = 1_000;
/** More of them are forgotten, and counted anew. */
const MAX_TRIALS = 10_000;

/**
 * Counts what policies that are tried come to, and enforces one once it had so many decisions as its
 * `promoteAfter` says without more disagreements. It lasts as long as the process, and as the policy is
 * written as it was; a policy with too many disagreements waits for an edit.
 */
export class PolicyPromotion {
  readonly #log: Pick<Log, 'info' | 'warn'>;
  readonly #metrics;
  readonly #trials = new Map<string, Trial>();
  readonly #promoted = new Map<string, StagedDecision>();
  #plan: Plan | undefined;
  #promotedPlan: Plan | undefined;

  constructor(log: Pick<Log, 'info' | 'warn'>, metrics: Metrics) {
    this.#log = log;
    this.#metrics = {
      decisions: metrics.counter(
        'trustplane_authz_staged_decisions_total',
        'Decisions with a rule of a policy that is tried, by whether the policy changes them.',
        ['policy', 'result'],
      ),
      promotions: metrics.counter(
        'trustplane_authz_promotions_total',
        'Policies that were tried and that this process began to enforce.',
      ),
    };
  }

  /** The plan in which those that were promoted are enforced. */
  apply(plan: Plan): Plan {
    if (this.#promoted.size === 0) return plan;
    if (this.#promotedPlan === undefined || this.#plan !== plan) {
      this.#plan = plan;
      this.#promotedPlan = promotePolicies(plan, this.#promoted.values());
    }
    return this.#promotedPlan;
  }

  observe({ staged }: Decision): void {
    if (staged !== undefined) for (const one of staged) this.#count(one);
  }

  #count(one: StagedDecision): void {
    const { policy, isChanged, promoteAfter } = one;
    const trial = this.#trialOf(one);
    trial.decisions++;
    if (isChanged) trial.disagreements++;
    const result = isChanged ? 'changed' : 'same';
    this.#metrics.decisions.inc({ policy: trial.label, result });
    if (promoteAfter === undefined) return;
    const { decisions, disagreements } = trial;
    if (disagreements > promoteAfter.disagreements) {
      if (isChanged && disagreements === promoteAfter.disagreements + 1)
        this.#log.warn({ policy, decisions, disagreements }, 'a policy will not be promoted');
    } else if (decisions >= promoteAfter.decisions) this.#promote(one, trial);
  }

  #trialOf({ policy, version }: StagedDecision): Trial {
    const known = this.#trials.get(policy);
    if (known?.version === version) return known;
    if (this.#trials.size >= MAX_TRIALS) this.#trials.clear();
    const label = known?.label ?? (this.#trials.size < MAX_COUNTED ? policy : 'others');
    const trial = { version, label, decisions: 0, disagreements: 0 };
    this.#trials.set(policy, trial);
    return trial;
  }

  #promote(one: StagedDecision, { decisions, disagreements }: Trial): void {
    const { policy } = one;
    this.#promoted.set(policy, one);
    this.#promotedPlan = undefined;
    this.#trials.delete(policy);
    this.#metrics.promotions.inc();
    this.#log.info({ policy, decisions, disagreements }, 'a policy is enforced from now on');
  }
}
