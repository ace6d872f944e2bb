import { expect, it, vi } from 'vitest';
import { decideWith, policyOf, requestOf } from '../../test/fakes/test-policies.ts';
import { compilePlan } from './compile-plan.ts';
import { decide } from './decide.ts';
import { openPlan } from './open-plan.ts';
import { packPlan } from './pack-plan.ts';
import { Pattern } from './pattern.ts';

const td = 'spiffe://prod.example';
const many = (count: number, rule: (at: number) => object) =>
  Array.from({ length: count }, (_, at) => rule(at));

it('opens a block at any place of a larger one, as a message brings it', () => {
  const image = packPlan([policyOf([{ allow: ['GET /x'] }])], 'd');
  const larger = new Uint8Array(image.bytes.length + 3);
  larger.set(image.bytes, 3);
  const plan = openPlan({ ...image, bytes: larger.subarray(3) });
  expect(decide(plan, requestOf('GET /x')).reason).toBe('allowed_by_rule');
});

it('does not open what another version compiled', () => {
  const image = packPlan([], 'd');
  const bytes = Uint8Array.from(image.bytes);
  bytes[0] = 99;
  expect(() => openPlan({ ...image, bytes })).toThrow(/another version/u);
});

it('refuses more rules for the same callers and paths than a request may look at', () => {
  const rules = (count: number) =>
    policyOf(many(count, (at) => ({ deny: ['/**'], when: { headers: { a: `v${at}` } } })));
  expect(() => packPlan([rules(2_049)], 'd')).toThrow(/p\/r\d+ is one of over 2048/u);
  expect(packPlan([rules(2_048)], 'd').rules).toBe(2_048);
});

it('tells rules of one caller apart by hosts where paths say nothing', () => {
  const rules = many(3_000, (at) => ({
    allow: [{ paths: ['/**'], hosts: [`t${at}.example`] }],
    from: 'authenticated',
  }));
  const plan = compilePlan([policyOf(rules)], 'd');
  const ask = (host: string) => decide(plan, requestOf('GET /x', { host })).ruleId;
  expect(ask('t2999.example')).toBe('r2999');
  expect(ask('T7.example:8443')).toBe('r7');
  expect(ask('t3000.example')).toBeUndefined();
});

it('decides alike after its rules have lost their slots to others', () => {
  const rules = many(20_000, (at) => ({ from: [`${td}/${at}`], allow: [`GET /${at}`] }));
  const plan = compilePlan([policyOf(rules)], 'd');
  for (let round = 0; round < 2; round++)
    for (const at of [0, 8_192, 16_384, 19_999])
      expect(decide(plan, requestOf(`GET /${at}`, { as: `${td}/${at}` })).ruleId).toBe(`r${at}`);
});

it('finds rules with long lists, by callers or by paths', () => {
  const ids = Array.from({ length: 300 }, (_, at) => `${td}/c${at}`);
  const paths = Array.from({ length: 300 }, (_, at) => `/p${at}`);
  const sets = { big: ids };
  const policy = policyOf(
    [
      { from: ['$big'], allow: [{ methods: ['GET'] }] },
      { from: ['$big', `${td}/x`], allow: [{ methods: ['PUT'], paths }] },
      { from: [`${td}/x`, `${td}/y`], allow: [{ methods: ['POST'], paths }] },
    ],
    { sets },
  );
  const ask = (line: string, as: string) =>
    decideWith(policy, requestOf(line, { as: `${td}/${as}` })).ruleId;
  expect(ask('GET /any', 'c299')).toBe('r0');
  expect(ask('PUT /p299', 'c0')).toBe('r1');
  expect(ask('PUT /p299', 'x')).toBe('r1');
  expect(ask('POST /p7', 'y')).toBe('r2');
  for (const [line, as] of [
    ['GET /any', 'c300'],
    ['PUT /p300', 'c0'],
    ['POST /p7', 'z'],
  ] as const)
    expect(ask(line, as)).toBeUndefined();
});

it('looks at the rules of a request alone, of 1,000 forms of IDs and of paths', () => {
  const form = (bits: number) =>
    Array.from({ length: 10 }, (_, at) => (bits & (1 << at) ? '*' : 'a')).join('/');
  const rules = many(1_000, (at) => ({
    from: [`${td}/${form(at)}`],
    allow: [`/${form(at)}/${at}`],
  }));
  const plan = compilePlan([policyOf(rules)], 'd');
  const asked = requestOf(`GET /b/b/b/b/b/b/b/b/b/b/7`, { as: `${td}/b/b/b/b/b/b/b/b/b/b` });
  const matches = vi.spyOn(Pattern.prototype, 'matches');
  expect(decide(plan, asked).reason).toBe('no_rule_matched');
  expect(matches.mock.calls.length).toBeLessThan(1_000);
  matches.mockRestore();
});
