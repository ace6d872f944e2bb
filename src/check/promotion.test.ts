import { beforeEach, expect, it } from 'vitest';
import { policyOf, requestOf } from '../../test/fakes/test-policies.ts';
import { compilePlan, decide, type Plan } from '../authz/index.ts';
import { createMetrics, type Metrics } from '../ops/index.ts';
import { PolicyPromotion } from './promotion.ts';

let metrics: Metrics;
let said: string[];
let promotion: PolicyPromotion;
beforeEach(() => {
  metrics = createMetrics();
  said = [];
  const say = (_: unknown, message?: string) => void said.push(message ?? '');
  promotion = new PolicyPromotion({ info: say, warn: say }, metrics);
});

/** Everybody may read; who may write is tried. */
function planOf(disagreements: number, deny: readonly string[] = ['PUT /**']): Plan {
  const live = policyOf([{ allow: ['/**'] }], { metadata: { name: 'live' } });
  const promoteAfter = { decisions: 3, disagreements };
  const rules = [{ deny }, { allow: ['GET /**'] }];
  const mode = { stage: 'observe', promoteAfter };
  return compilePlan([live, policyOf(rules, { metadata: { name: 'tried' }, mode })], '');
}

function ask(plan: Plan, ...lines: readonly string[]): readonly boolean[] {
  return lines.map((line) => {
    const decision = decide(promotion.apply(plan), requestOf(line));
    promotion.observe(decision);
    return decision.isAllowed;
  });
}

it('enforces a policy after so many decisions that it did not change, and says so', async () => {
  const plan = planOf(0);
  expect(ask(plan, 'GET /a', 'HEAD /a', 'GET /b', 'GET /c', 'PUT /a')).toEqual([
    true,
    true,
    true,
    true,
    false,
  ]);
  expect(said).toEqual(['a policy is enforced from now on']);
  const text = await metrics.render();
  expect(text).toContain('trustplane_authz_promotions_total 1');
  expect(text).toContain('trustplane_authz_staged_decisions_total{policy="tried",result="same"} 3');
});

it('counts those it would have changed, and waits for an edit once they are too many', () => {
  const plan = planOf(1);
  expect(ask(plan, 'PUT /a', 'GET /a', 'GET /a', 'PUT /a')).toEqual([true, true, true, false]);
  const other = planOf(1, ['PUT /**', 'POST /**']);
  const many = ['PUT /a', 'PUT /b', 'GET /a', 'GET /a', 'GET /a', 'PUT /a'];
  expect(ask(other, ...many)).not.toContain(false);
  expect(said).toEqual(['a policy is enforced from now on', 'a policy will not be promoted']);
});

it('keeps what it promoted when another policy is edited, and counts anew when that one is', () => {
  ask(planOf(0), 'GET /a', 'GET /a', 'GET /a');
  expect(ask(planOf(0), 'PUT /a')).toEqual([false]);
  const edited = planOf(0, ['PUT /**', 'POST /**']);
  expect(ask(edited, 'PUT /a', 'GET /a', 'GET /a', 'GET /a')).not.toContain(false);
});
