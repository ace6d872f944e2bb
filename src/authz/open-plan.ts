import { buildIdList } from './id-list.ts';
import { FewParts, ManyParts } from './kept-parts.ts';
import type { PackedPolicy } from './pack-plan.ts';
import { isHostShape } from './pattern-shape.ts';
import type { Plan, PlanPolicy, PlanRule, PlanService } from './plan.ts';
import { openSections, type PlanImage } from './plan-image.ts';
import { RecordReader } from './plan-records.ts';
import { planRuleOf } from './plan-rule.ts';

const ARRAYS = 10;
const none = new Uint32Array();

/** Makes an image ready to decide; policies and rules are decoded when a request first comes upon them. */
export function openPlan({ digest, bytes }: PlanImage): Plan {
  const { arrays, last } = openSections(bytes, ARRAYS);
  const [counts = none, keys = none, children = none, shapeLists = none] = arrays;
  const [shapeStarts = none, shapes = none, itemStarts = none, items = none] = arrays.slice(4);
  const [policyNumbers = none, starts = none] = arrays.slice(8);
  const [seed = 0, serviceCount = 0, policyCount = 0] = counts;
  const records = new RecordReader(starts, last);
  const services = new FewParts(serviceCount, (number): PlanService => records.read(number));
  const policies = new FewParts(policyCount, (number) =>
    planPolicyOf(records.read(serviceCount + number), services),
  );
  const firstRule = serviceCount + policyCount;
  const rules = new ManyParts(
    policyNumbers.length,
    (number): PlanRule =>
      planRuleOf(records.read(firstRule + number), policies.at(policyNumbers[number] ?? 0)),
    (number) => records.sizeOf(firstRule + number),
  );
  const tree = { seed, keys, children, shapeLists, shapeStarts, shapes, itemStarts, items };
  return {
    digest,
    promoted: new Set(),
    tree,
    usesHosts: shapes.some(isHostShape),
    services,
    rules,
  };
}

function planPolicyOf(
  { name, service, mode, version, sets = {} }: PackedPolicy,
  services: FewParts<PlanService>,
): PlanPolicy {
  const lists = Object.entries(sets).map(([name, ids]) => [name, buildIdList(ids)] as const);
  return { name, service: services.at(service), mode, version, sets: new Map(lists) };
}
