import {
  chmodSync,
  globSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { PolicyFolder, runPolicy } from '../../test/fakes/policy-program.ts';

const examples = globSync(
  path.join(
    import.meta.dirname,
    '../../examples/{policies,user-mapping/policies,rbac-in-envoy/*}/*.yaml',
  ),
).sort();
const payments = examples.find((file) => file.endsWith('payments.yaml')) ?? '';
const CHECKOUT = 'spiffe://prod.example/ns/shop/sa/checkout';
const folder = new PolicyFolder();
afterAll(() => folder[Symbol.dispose]());
const write = folder.write.bind(folder);

it('passes the tests of the examples', async () => {
  expect(examples.length).toBe(6);
  expect(await runPolicy('test', ...examples)).toEqual({
    code: 0,
    out: '28 passed, 0 failed\n',
    err: '',
  });
});

it('shows what policies come to, the digest the same in any order', async () => {
  const [one, other] = [
    await runPolicy('check', ...examples, '-o', 'json'),
    await runPolicy('check', ...examples.toReversed(), '-o', 'json'),
  ];
  expect(JSON.parse(one.out).policies.length).toBe(6);
  expect(JSON.parse(one.out).policyDigest).toMatch(/^[0-9a-f]{64}$/u);
  expect(JSON.parse(other.out).policyDigest).toBe(JSON.parse(one.out).policyDigest);
});

it('says every complaint about every file, each where it stands', async () => {
  const bad = write(
    'bad.yaml',
    'service: spiffe://a/b',
    'rules:',
    '  - { id: a, from: [spiffe://A/b], allow: [get /x], log: never }',
    '  - { id: b, from: [], allow: [{ paths: [/%20], foo: 1 }] }',
    'assert: []',
  );
  const worse = write(
    'worse.yaml',
    'service: spiffe://*/b',
    'rules:',
    '  - { id: a, from: [$x], allow: [/a], deny: [/b] }',
    '  - { id: a, from: ["spiffe://*/b"], allow: [/a], map: { x-user: "{t}", x-sub: jwt.sub } }',
  );
  const { code, err } = await runPolicy('check', bad, worse);
  expect(code).toBe(2);
  const places = [...err.matchAll(/(\w+)\.yaml:(\d+:\d+): ([\w.-]+):/gu)].map((match) =>
    match.slice(1).join(' '),
  );
  expect(places.sort()).toEqual(
    [
      'bad 6:21 rules.0.from.0',
      'bad 6:44 rules.0.allow.0',
      'bad 6:58 rules.0.log',
      'bad 7:20 rules.1.from',
      'bad 7:42 rules.1.allow.0.paths.0',
      'bad 7:49 rules.1.allow.0.foo',
      'bad 8:9 assert',
      'worse 4:10 service',
      'worse 6:5 rules.0',
      'worse 6:20 rules.0.from',
      'worse 7:11 rules.1.id',
      'worse 7:20 rules.1.from',
      'worse 7:66 rules.1.map.x-user',
      'worse 7:80 rules.1.map.x-sub',
    ].sort(),
  );
});

it('refuses two policies of one name, and a file that is not there', async () => {
  const { code, err } = await runPolicy('check', payments, payments, '/nowhere.yaml');
  expect(code).toBe(2);
  expect(err).toContain('/nowhere.yaml: there is no such file');
  expect(err).toContain(`is the name of the policy at ${payments}:6:19 too`);
});

it('says which test came out otherwise, and how', async () => {
  const file = write(
    'failing.yaml',
    'service: spiffe://a/b',
    'rules: [{ id: a, from: anyone, allow: [/a], map: { x-user: u } }]',
    'tests:',
    '  - { request: GET /a, expect: deny, reason: no_rule_matched }',
    '  - { request: GET /a, expect: allow, map: { x-user: v } }',
    '  - { request: GET /a, expect: allow, rule: a }',
  );
  const { code, err } = await runPolicy('test', file);
  expect(code).toBe(7);
  expect(err).toContain(
    `${file}:7:5: expected deny, no_rule_matched; came allow, allowed_by_rule by a\n`,
  );
  expect(err).toContain(`${file}:8:5: expected the header x-user: v; came u\n1 passed, 2 failed`);
});

it('explains what is allowed', async () => {
  const { code, out } = await runPolicy(
    'explain',
    payments,
    '--as',
    CHECKOUT,
    '--request',
    'POST /v1/charges',
    '-o',
    'json',
  );
  expect([code, JSON.parse(out)]).toMatchObject([
    0,
    { isAllowed: true, policy: 'payments', ruleId: 'checkout-charges' },
  ]);
});

it('explains a deny by the field that failed first', async () => {
  const { code, out } = await runPolicy(
    'explain',
    payments,
    '--as',
    CHECKOUT,
    '--request',
    'DELETE /v1/charges',
  );
  expect(code).toBe(0);
  expect(out).toContain('no_rule_matched');
  expect(out).toContain(
    'payments/checkout-charges: method: the method DELETE is not in [POST, GET]',
  );
});

it('explains a logged decision', async () => {
  const service = 'spiffe://prod.example/ns/payments/sa/api';
  const line = { id: 'n1-1', caller: CHECKOUT, service, method: 'DELETE', path: '/v1/charges' };
  const log = path.join(folder.path, 'decisions.jsonl');
  writeFileSync(log, `${JSON.stringify({ ...line, id: 'n1-2' })}\n${JSON.stringify(line)}\n`);
  const logged = await runPolicy('explain', payments, '--decision', 'n1-1', '--log', log);
  expect(logged).toMatchObject({ code: 0 });
  expect(logged.out).toContain('method: the method DELETE is not in');
  const missing = await runPolicy('explain', payments, '--decision', 'n1', '--log', log);
  expect(missing.err).toContain('has no decision n1');
  expect((await runPolicy('explain', payments, '--decision', 'n1-1')).err).toContain('--log');
});

it('explains with headers, claims and a time', async () => {
  const [ledger = '', , tenants = ''] = examples;
  const claims = '{"iss":"https://sso.example","sub":"ada","groups":["ledger-writers"]}';
  const desk = [
    '--as',
    'spiffe://prod.example/ns/backoffice/sa/desk',
    '--request',
    'POST /v2/entries',
  ];
  const { out } = await runPolicy('explain', ledger, ...desk, '--claims', claims);
  expect(out).toContain('x-user: ada; x-user-groups: ledger-writers');
  const sre = ['--as', 'spiffe://prod.example/ns/sre/sa/breakglass', '--request', 'GET /v1/x'];
  const facts = ['--ip', '10.8.0.1', '--header', 'X-Ticket: INC-1', '--at'];
  const until = await runPolicy('explain', tenants, ...sre, ...facts, '2026-11-30T00:00:00Z');
  expect(until.out).toContain('tenant-api/breakglass');
  const after = await runPolicy('explain', tenants, ...sre, ...facts, '2026-12-02T00:00:00Z');
  expect(after.out).toContain('breakglass: time: time is missing or does not match');
  expect((await runPolicy('explain', ledger, ...desk, '--claims', '[]')).code).toBe(2);
});

it('asks for the service where there are several', async () => {
  const { code, err } = await runPolicy('explain', ...examples, '--request', 'GET /');
  expect([code, err.includes('--service')]).toEqual([2, true]);
});

it('refuses policies whose assertions do not hold, by the one who would be let in', async () => {
  const file = write(
    'asserted.yaml',
    'service: spiffe://a/b',
    'rules:',
    '  - { id: all, from: authenticated, allow: [GET /v1/**] }',
    'assert:',
    '  - never: { from: ["spiffe://dev.example/**"], to: ["/v2/**"] }',
    '  - only: { from: ["spiffe://a/**"], to: ["/v1/x"] }',
  );
  expect(await runPolicy('check', file)).toEqual({
    code: 2,
    out: '',
    err: `trustplane: ${file}:9:5: assert.1: only: does not hold: spiffe://b: GET /v1/x is allowed by p/all (ERR_POLICY)\n`,
  });
});

describe('fmt', () => {
  const formed = `apiVersion: trustplane/v1
kind: Policy
metadata: { name: p }
service: spiffe://a/b
rules:
  - id: a
    from: anyone
    allow: [/a]
`;
  const other = ['service: spiffe://a/b', 'rules: [{ id: a, from: anyone, allow: [/a] }]'];

  it('prints one policy in its form', async () => {
    const file = write('print.yaml', ...other);
    expect(await runPolicy('fmt', file)).toEqual({ code: 0, out: formed, err: '' });
    const { out } = await runPolicy('fmt', file, '-o', 'json');
    expect(JSON.parse(out)).toEqual({ files: [{ file, changed: true, text: formed }] });
  });

  it('names files in another form, writes them, and then finds none', async () => {
    const file = write('write.yaml', ...other);
    const checked = await runPolicy('fmt', '--check', ...examples, file);
    expect(checked.code).toBe(7);
    expect(checked.err).toContain(`${file}: is in another form`);
    expect(await runPolicy('fmt', '--write', file)).toMatchObject({
      code: 0,
      out: `${file}: written\n0 in form already, 1 changed\n`,
    });
    expect(readFileSync(file, 'utf8')).toBe(formed);
    expect(await runPolicy('fmt', '--check', ...examples, file)).toMatchObject({
      code: 0,
      out: `${examples.length + 1} in form already, 0 changed\n`,
    });
  });

  it('writes what a link names, and keeps the link and who may read it', async () => {
    const file = write('linked.yaml', ...other);
    chmodSync(file, 0o640);
    const link = `${file}.link.yaml`;
    symlinkSync(file, link);
    expect(await runPolicy('fmt', '--write', link)).toMatchObject({ code: 0 });
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect([readFileSync(file, 'utf8'), lstatSync(file).mode & 0o777]).toEqual([formed, 0o640]);
  });

  it('refuses what it cannot do, and what is no policy', async () => {
    const bad = write('nothing.yaml', 'rules: 1');
    expect((await runPolicy('fmt', ...examples)).code).toBe(2);
    expect((await runPolicy('fmt', '--write', '-')).code).toBe(2);
    expect((await runPolicy('fmt', '--write', '--check', bad)).code).toBe(2);
    expect(await runPolicy('fmt', bad)).toMatchObject({ code: 2 });
  });
});

it('takes directories, says when one has no policies, and puts questions that are none aside', async () => {
  const directory = mkdtempSync(path.join(folder.path, 'policies-'));
  const none = { code: 2, err: expect.stringContaining(`no policy files (*.yaml, *.yml) in`) };
  for (const command of ['check', 'test', 'lint', 'explain'])
    expect(await runPolicy(command, directory)).toMatchObject(none);
  expect(await runPolicy('fmt', '--check', directory)).toMatchObject(none);
  writeFileSync(path.join(directory, 'notes.txt'), 'no policy');
  writeFileSync(path.join(directory, '.hidden.yaml'), 'no policy');
  writeFileSync(path.join(directory, 'payments.yaml'), readFileSync(payments));
  expect(await runPolicy('test', directory)).toMatchObject({
    code: 0,
    out: '5 passed, 0 failed\n',
  });
  expect(await runPolicy('fmt', '--check', directory)).toMatchObject({ code: 0 });
  expect(await runPolicy('fmt', '--check', path.join(directory, 'none.yaml'))).toMatchObject({
    code: 2,
    err: expect.stringContaining('there is no such file'),
  });
  expect(await runPolicy('who-can', 'charges', directory)).toMatchObject({
    code: 2,
    err: expect.stringContaining('"charges" is no operation, as in "GET /x"'),
  });
});

it('says of a file without anything what has to be there', async () => {
  const file = path.join(folder.path, 'nothing.yaml');
  writeFileSync(file, '');
  const { code, err } = await runPolicy('check', file);
  expect(code).toBe(2);
  expect(err.split('\n').map((line) => line.replace(/^.*:1:1: /u, ''))).toEqual([
    'apiVersion: is required: "trustplane/v1"',
    'kind: is required: "Policy"',
    'metadata: is required',
    'service: is required',
    'rules: is required (ERR_POLICY)',
    '',
  ]);
});
