import { globSync } from 'node:fs';
import path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { PolicyFolder, runPolicy } from '../../test/fakes/policy-program.ts';

const examples = path.join(import.meta.dirname, '../../examples/policies');
const payments = globSync(path.join(examples, 'payments.yaml'))[0] ?? '';
const CHECKOUT = 'spiffe://prod.example/ns/shop/sa/checkout';
const folder = new PolicyFolder();
afterAll(() => folder[Symbol.dispose]());

function write(name: string, ...rules: readonly string[]): string {
  return folder.write(name, 'service: spiffe://a/b', 'rules:', ...rules);
}

const reads = '  - { id: reads, from: [spiffe://a/c], allow: [GET /x/**] }';

it('lints with place, code and what to do', async () => {
  const file = write(
    'lint.yaml',
    reads,
    '  - { id: less, from: [spiffe://a/c], allow: [GET /x/y] }',
  );
  const line = `${file}:7:5: warning: shadowed-rule: changes nothing: p/reads covers all of it; remove it`;
  const { code, out } = await runPolicy('lint', file);
  expect(code).toBe(0);
  expect(out.split('\n')).toContain(line);
  expect(out).toContain('errors 0, warnings 1');
  expect((await runPolicy('lint', file, '--strict')).code).toBe(1);
  expect(JSON.parse((await runPolicy('lint', file, '-o', 'json')).out)).toMatchObject({
    warnings: 1,
    findings: expect.arrayContaining([
      expect.objectContaining({ code: 'shadowed-rule', file, line: 7, column: 5, path: 'rules.1' }),
    ]),
  });
});

it('fails for an error without --strict, and tells unknown trust domains where known ones are named', async () => {
  const never =
    '  - { id: no, from: { ids: [spiffe://a/c], except: [spiffe://a/c] }, allow: [/x] }';
  expect((await runPolicy('lint', write('never.yaml', never))).code).toBe(1);
  const file = write('plain.yaml', reads);
  expect((await runPolicy('lint', file, '--strict')).code).toBe(0);
  expect((await runPolicy('lint', file, '--strict', '--trust-domain', 'b')).code).toBe(1);
});

it('tells what differs, with a test that the new policy passes', async () => {
  const wider = write(
    'wider.yaml',
    '  - { id: reads, from: [spiffe://a/c], allow: [GET /x/**, POST /x] }',
  );
  const file = write('narrow.yaml', reads);
  expect(await runPolicy('diff', file, file)).toMatchObject({
    code: 0,
    out: 'no decision differs\n',
  });
  expect(await runPolicy('diff', file, wider)).toEqual({
    code: 1,
    out: [
      '+ widened at spiffe://a/b: no rule -> p/reads (1 class of requests)',
      '    - { as: spiffe://a/c, request: POST /x, expect: allow, rule: reads }',
      '',
    ].join('\n'),
    err: '',
  });
  expect((await runPolicy('diff', file, wider, '--fail-on', 'widened')).code).toBe(1);
  expect((await runPolicy('diff', wider, file, '--fail-on', 'widened')).code).toBe(0);
  const { changes } = JSON.parse((await runPolicy('diff', wider, file, '-o', 'json')).out);
  expect(changes).toMatchObject([{ kind: 'narrowed', before: ['p/reads'], after: [] }]);
});

it('tells who can do something, and what somebody can', async () => {
  const who = await runPolicy('who-can', 'POST /v1/charges', payments);
  expect(who.out).toContain(`payments/checkout-charges  ${CHECKOUT}`);
  expect(
    (
      await runPolicy(
        'who-can',
        'DELETE /v1/charges',
        examples,
        '--service',
        'spiffe://prod.example/ns/payments/sa/api',
      )
    ).out,
  ).toBe('nobody\n');
  const what = await runPolicy('what-can', CHECKOUT, examples, '-o', 'json');
  expect(JSON.parse(what.out).access).toMatchObject([
    { rule: 'payments/checkout-charges', operations: ['POST /v1/charges', 'GET /v1/charges/*'] },
  ]);
  expect((await runPolicy('what-can', 'spiffe://nobody/a', payments)).out).toBe('nothing\n');
  expect((await runPolicy('what-can', 'nobody', payments)).code).toBe(2);
});
