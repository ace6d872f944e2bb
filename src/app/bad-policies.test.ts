import { expect, it } from 'vitest';
import { requestOf, WEB } from '../../test/fakes/test-policies.ts';
import { decide, openPlan } from '../authz/index.ts';
import { PolicyLoader } from './policy-loader.ts';

const HEAD = 'apiVersion: trustplane/v1\nkind: Policy\nmetadata: { name: p }\n';
const SERVICE = 'service: spiffe://prod.example/api\n';

async function load(content: string) {
  return await new PolicyLoader().load({ texts: [{ name: 'p.yaml', text: content }] });
}

/** Nine levels of nine: a billion of them, where somebody follows aliases. */
const laughs = Array.from({ length: 9 }, (_, level) => {
  const inner = level === 0 ? 'GET /x' : `*l${level - 1}`;
  return `l${level}: &l${level} [${Array.from({ length: 9 }, () => inner).join(', ')}]`;
}).join('\n');

it.each([
  ['aliases of aliases', `${HEAD}${SERVICE}${laughs}\nrules: *l8\n`],
  ['an alias of itself', `${HEAD}${SERVICE}rules: &r [*r]\n`],
  ['merge keys', `${HEAD}${SERVICE}rules: [{ <<: { id: a }, from: anyone, allow: [/x] }]\n`],
  ['100,000 levels', `${HEAD}${SERVICE}rules: ${'['.repeat(100_000)}`],
  ['100,000 levels of lines', `${HEAD}${SERVICE}rules: ${'- '.repeat(100_000)}a`],
  ['a tag', `${HEAD}${SERVICE}rules: !!js/function 'function () {}'\n`],
  ['a second document', `${HEAD}${SERVICE}rules: []\n---\na: 1\n`],
  ['more than there may be', `${HEAD}${SERVICE}# ${'x'.repeat(1_048_576)}\n`],
  ['a key of every object', `${HEAD}${SERVICE}__proto__: { rules: [] }\nrules: []\n`],
])('refuses a file of %s, with its place, and soon', async (_, content) => {
  await expect(load(content)).rejects.toMatchObject({
    code: 'ERR_POLICY',
    message: expect.stringMatching(/^p\.yaml/u),
  });
});

it('takes 10,000 rules that contradict each other, and denies what one of them denies', async () => {
  const rules = Array.from({ length: 5_000 }, (_, at) =>
    ['allow', 'deny'].map(
      (effect) => `  - { id: ${effect}-${at}, from: ["${WEB}"], ${effect}: [GET /p/${at}] }`,
    ),
  ).flat();
  const more = `  - { id: free, from: ["${WEB}"], allow: [GET /p/free] }\n`;
  const { image, rules: count } = await load(
    `${HEAD}${SERVICE}rules:\n${rules.join('\n')}\n${more}`,
  );
  expect(count).toBe(10_001);
  const plan = openPlan(image);
  const reasons = rules.map((_, at) => decide(plan, requestOf(`GET /p/${at % 5_000}`)));
  expect(new Set(reasons.map(({ reason }) => reason))).toEqual(new Set(['denied_by_rule']));
  expect(reasons[7]).toMatchObject({ ruleId: 'deny-7' });
  expect(decide(plan, requestOf('GET /p/free')).reason).toBe('allowed_by_rule');
});

it('takes a policy that names trust domains nobody knows: whoever claims them is nobody', async () => {
  const from = 'spiffe://nobody.knows/web';
  const content = `${HEAD}${SERVICE}rules: [{ id: a, from: ["${from}"], allow: [GET /x] }]\n`;
  const plan = openPlan((await load(content)).image);
  expect(decide(plan, requestOf('GET /x', { as: 'unknown_trust_domain' })).reason).toBe(
    'unknown_trust_domain',
  );
  expect(decide(plan, requestOf('GET /x')).reason).toBe('no_rule_matched');
});
