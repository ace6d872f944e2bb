import { expect, it } from 'vitest';
import { decideWith, policyOf, requestOf } from '../../test/fakes/test-policies.ts';

const many = <T>(count: number, one: (at: number) => T): T[] =>
  Array.from({ length: count }, (_, at) => one(at));
const stars = (at: number): object => ({ allow: [`/${'a*'.repeat(9)}${at}`] });
const long = 'a'.repeat(60_000);

it('takes no path longer than any server does for comparing', () => {
  const policy = policyOf(many(2_000, stars));
  expect(decideWith(policy, requestOf(`GET /${long}`)).reason).toBe('non_canonical_path');
  expect(decideWith(policy, requestOf(`GET /${'a'.repeat(8_000)}`)).reason).toBe('no_rule_matched');
});

it('gives up, and denies, where a request asks for too much', () => {
  const rules = many(2_000, () => ({
    allow: ['/**'],
    when: { headers: { 'x-a': 'a*a*a*a*b' } },
  }));
  const asked = requestOf('GET /', { headers: { 'x-a': [long] } });
  const policy = policyOf(rules, { response: { deny: { status: 429, body: 'none' } } });
  expect(decideWith(policy, asked)).toMatchObject({
    isAllowed: false,
    reason: 'too_costly',
    deniedResponse: { status: 429, body: 'none' },
  });
  const few = requestOf('GET /', { headers: { 'x-a': ['aaaaaaaab'] } });
  expect(decideWith(policyOf(rules), few).reason).toBe('allowed_by_rule');
  expect(decideWith(policyOf(rules.slice(0, 100)), asked).reason).toBe('no_rule_matched');
});

it('gives up where captures agree in more ways than anybody meant', () => {
  const names = many(60, (at) => `c${at}`);
  const rule = {
    from: names.map((name) => `spiffe://prod.example/ns/{${name}}/**`),
    allow: [
      {
        paths: names.map((name) => `/{p${name}}`),
        hosts: names.map((name) => `{h${name}}.example`),
      },
    ],
  };
  const asked = requestOf('GET /a', { host: 'b.example' });
  expect(decideWith(policyOf([rule]), asked).reason).toBe('too_costly');
});

it('gives up where a service owns more headers than anybody sends', () => {
  const map = Object.fromEntries(many(10_000, (at) => [`x-${at}`, 'source.id']));
  const decision = decideWith(policyOf([{ allow: ['/x'], map }]), requestOf('GET /x'));
  expect(decision.reason).toBe('too_costly');
});

it('reads a header and a query once, however many rules ask for them', () => {
  let reads = 0;
  const policy = policyOf(
    many(100, (at) => ({
      allow: [{ paths: ['/x'], query: { q: `${at}` } }],
      when: { headers: { 'x-a': `${at}` } },
    })),
  );
  const { http, ...asked } = requestOf('GET /x?q=7');
  const headers = (): string[] => {
    reads += 1;
    return ['7'];
  };
  const decision = decideWith(policy, { ...asked, http: http && { ...http, headers } });
  expect(decision.ruleId).toBe('r7');
  expect(reads).toBe(1);
});

it('decides without those that are only tried where telling what they would do takes too long', () => {
  const tried = many(2_000, (at) =>
    policyOf([{ allow: ['/**'] }], { metadata: { name: `p${at}` }, mode: { stage: 'observe' } }),
  );
  const enforced = policyOf([{ id: 'yes', allow: ['/x'] }], { metadata: { name: 'q' } });
  const decision = decideWith([...tried, enforced], requestOf('GET /x'));
  expect(decision).toMatchObject({ isAllowed: true, ruleId: 'yes' });
  expect(decision.observed).toHaveLength(2_000);
  expect(decision.staged).toBeUndefined();
  const few = decideWith([...tried.slice(0, 20), enforced], requestOf('GET /x'));
  expect(few.staged).toHaveLength(20);
});
