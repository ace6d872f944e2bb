import { describe, expect, it } from 'vitest';
import { readPolicy } from './read-policy.ts';

const head =
  'apiVersion: trustplane/v1\nkind: Policy\nmetadata: { name: p }\nservice: spiffe://a/b\n';
const rules = 'rules: [{ id: a, from: anyone, allow: [/a] }]\n';
const parse = (text: string) => readPolicy({ name: 'p.yaml', bytes: Buffer.from(text) });
const ruleWith = (field: string) => `${head}rules: [{ from: anyone, allow: [/a], ${field} }]\n`;

describe('a policy is read strictly', () => {
  it.each([
    ['an unknown key', `${head}${rules}foo: 1\n`, '6:1: foo: unknown key'],
    ['a key twice', `${head}${rules}${rules}`, '6:1: the key rules stands here a second time'],
    ['a key twice inside', ruleWith('id: a, id: b'), '5:45: the key id stands here a second time'],
    ['a merge key', ruleWith('<<: { id: a }'), '5:38: merge keys'],
    ['a merge key in quotes', ruleWith('"<<": { id: a }'), '5:38: merge keys'],
    ['an alias', ruleWith('id: &x a, log: *x'), '5:53: aliases'],
    ['a number for a text', ruleWith('id: 1'), '5:42: rules.0.id: expected a text, got 1'],
    ['true for a text', ruleWith('id: true'), '5:42: rules.0.id: expected a text, got true'],
    ['null for a text', ruleWith('id: ~'), '5:42: rules.0.id: expected a text, got null'],
    [
      'a day for an instant',
      ruleWith('id: a, when: { time: { until: 2026-01-01 } }'),
      '5:68: rules.0.when.time.until: ',
    ],
    ['a tab that indents', `${head}rules:\n\t- id: a\n`, '6:1: Tabs'],
    ['two documents', `${head}${rules}---\n${head}${rules}`, '6:1: a second document begins here'],
    ['a directive', `%YAML 1.1\n---\n${head}${rules}`, '1:1: directives'],
    [
      'a condition of the name __proto__',
      ruleWith('id: a, when: { jwt: { issuer: x, claims: { __proto__: x } } }'),
      '5:81: the key __proto__',
    ],
    ['nothing', '', '1:1: apiVersion: '],
    ['a list', '- a\n', '1:1: expected a mapping'],
  ])('without %s', (_, text, message) => {
    expect(() => parse(text)).toThrow(`p.yaml:${message}`);
  });

  it('takes a byte order mark and CRLF, and counts columns without them', () => {
    const text = `\uFEFF${head}${rules}`.replaceAll('\n', '\r\n');
    expect(parse(text).policy.rules[0]?.id).toBe('a');
    expect(() => parse(`\uFEFFfoo: 1\r\n${text.slice(1)}`)).toThrow('p.yaml:1:1: foo');
  });

  it('refuses bombs of aliases, of depth and of size', () => {
    const bomb = ['a: &a [x]', 'b: &b [*a, *a]', 'c: &c [*b, *b]'].join('\n');
    expect(() => parse(bomb)).toThrow('p.yaml:2:8: aliases');
    expect(() => parse('['.repeat(1_000_000))).toThrow('p.yaml:1:101: is nested too deeply');
    expect(() => parse(`#${'x'.repeat(1_048_576)}`)).toThrow('at most 1048576 are read');
    const latin = { name: 'p.yaml', bytes: Buffer.from([0x61, 0xff]) };
    expect(() => readPolicy(latin)).toThrow('p.yaml: is not UTF-8');
  });
});

describe('what no single field shows', () => {
  it.each([
    [
      `${head}mode: { stage: enforce, promoteAfter: { decisions: 1, disagreements: 0 } }\n${rules}`,
      '5:7: mode: has promoteAfter, but the stage is enforce already',
    ],
    [`${head}mode: observe\n${rules}`, '5:7: mode: expected a mapping such as { stage: observe }'],
    [
      `${head}mode: { stage: observe, percent: 1 }\n${rules}`,
      '5:7: mode: has percent if, and only if',
    ],
    [
      `${head}${rules}assert: [{ never: { from: [$x], to: [/a] } }]\n`,
      '6:27: assert.0.never.from: there is no set "x"',
    ],
    [
      `${head}${rules}assert: [{ only: { from: ["spiffe://a/{t}"], to: [/a] } }]\n`,
      '6:18: assert.0.only: has a capture',
    ],
    [`${head}${rules}response: { deny: { status: 404 } }\n`, '6:29: response.deny.status: '],
    [`${head}${rules}request: { body: { maxBytes: -1 } }\n`, '6:30: request.body.maxBytes: '],
    [ruleWith('id: a, log: never'), '5:50: rules.0.log: '],
  ])('is said with its place: %#', (text, message) => {
    expect(() => parse(text)).toThrow(`p.yaml:${message}`);
  });

  it('is well in a policy that has everything', () => {
    const all = `${head}mode: { stage: canary, percent: 5, promoteAfter: { decisions: 9, disagreements: 1 } }
request: { path: { nonCanonical: reject, matrixParameters: reject, trailingSlash: significant }, body: { maxBytes: 0 } }
response: { deny: { status: 429, body: none } }
rules:
  - id: a
    from: { ids: [spiffe://a/c], credentials: [jwt-svid, x509-svid] }
    allow: [/a]
    map: { x-identity-assertion: assertion }
    log: always
assert:
  - never: { from: ["spiffe://*/ci/**"], to: [/admin/**, { grpc: [p.S/M] }] }
`;
    const { policy } = parse(all);
    expect(policy).toMatchObject({
      mode: { promoteAfter: { decisions: 9, disagreements: 1 } },
      request: { body: { maxBytes: 0 } },
      response: { deny: { status: 429, body: 'none' } },
      rules: [{ log: 'always', map: { 'x-identity-assertion': { kind: 'assertion' } } }],
      assert: [{ kind: 'never', to: [{}, { isGrpc: true }] }],
    });
  });
});
