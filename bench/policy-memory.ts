/** Run as a process of its own: prints how many bytes a plan of as many rules as its argument holds. */
import { decide, openPlan } from '../src/authz/index.ts';
import { imageOf, requestFor } from './bench-policies.ts';

const rules = Number(process.argv[2]);
const before = heldBytes();
const image = structuredClone(imageOf(rules));
const plan = openPlan(image);
for (let at = 0; at < rules; at++)
  if (!decide(plan, requestFor(at)).isAllowed) throw new Error(`rule ${at} does not allow`);
const held = heldBytes() - before;
if (plan.rules.length !== rules) throw new Error('the plan is not whole');
process.stdout.write(`${held}\n`);

function heldBytes(): number {
  const { gc } = globalThis;
  if (gc === undefined) throw new Error('needs --expose-gc');
  for (let round = 0; round < 5; round++) gc();
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return heapUsed + external + arrayBuffers;
}
