import { globSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { run } from './program.ts';

const examples = path.join(import.meta.dirname, '../../examples/policies');
const payments = globSync(path.join(examples, 'payments.yaml'))[0] ?? '';
const CHECKOUT = 'spiffe://prod.example/ns/shop/sa/checkout';
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'trustplane-analysis-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function policy(...args: readonly string[]) {
  const said = { out: '', err: '' };
  const io = {
    out: (text: string) => void (said.out += text),
    err: (text: string) => void (said.err += text),
    env: {},
    uid: 0,
  };
  return { code: await run(io, ['policy', ...args]), ...said };
}

function write(name: string, ...rules: readonly string[]): string {
  const file = path.join(folder, name);
  const head = ['apiVersion: trustplane/v1', 'kind: Policy', 'metadata: { name: p }'];
  writeFileSync(file, [...head, 'service: spiffe://a/b', 'rules:', ...rules, ''].join('\n'));
  return file;
}

const reads = '  - { id: reads, from: [spiffe://a/c], allow: [GET /x/**] }';

it('lints with place, code and what to do', async () => {
  const file = write(
    'lint.yaml',
    reads,
    '  - { id: less, from: [spiffe://a/c], allow: [GET /x/y] }',
  );
  const line = `${file}:7:5: warning: shadowed-rule: changes nothing: p/reads covers all of it; remove it`;
  const { code, out } = await policy('lint', file);
  expect(code).toBe(0);
  expect(out.split('\n')).toContain(line);
  expect(out).toContain('errors 0, warnings 1');
  expect((await policy('lint', file, '--strict')).code).toBe(1);
  expect(JSON.parse((await policy('lint', file, '-o', 'json')).out)).toMatchObject({
    warnings: 1,
    findings: expect.arrayContaining([
      expect.objectContaining({ code: 'shadowed-rule', file, line: 7, column: 5, path: 'rules.1' }),
    ]),
  });
});

it('fails for an error without --strict, and tells unknown trust domains where known ones are named', async () => {
  const never =
    '  - { id: no, from: { ids: [spiffe://a/c], except: [spiffe://a/c] }, allow: [/x] }';
  expect((await policy('lint', write('never.yaml', never))).code).toBe(1);
  const file = write('plain.yaml', reads);
  expect((await policy('lint', file, '--strict')).code).toBe(0);
  expect((await policy('lint', file, '--strict', '--trust-domain', 'b')).code).toBe(1);
});

it('tells what differs, with a test that the new policy passes', async () => {
  const wider = write(
    'wider.yaml',
    '  - { id: reads, from: [spiffe://a/c], allow: [GET /x/**, POST /x] }',
  );
  const file = write('narrow.yaml', reads);
  expect(await policy('diff', file, file)).toMatchObject({ code: 0, out: 'no decision differs\n' });
  expect(await policy('diff', file, wider)).toEqual({
    code: 1,
    out: [
      '+ widened at spiffe://a/b: no rule -> p/reads (1 class of requests)',
      '    - { as: spiffe://a/c, request: POST /x, expect: allow, rule: reads }',
      '',
    ].join('\n'),
    err: '',
  });
  expect((await policy('diff', file, wider, '--fail-on', 'widened')).code).toBe(1);
  expect((await policy('diff', wider, file, '--fail-on', 'widened')).code).toBe(0);
  const { changes } = JSON.parse((await policy('diff', wider, file, '-o', 'json')).out);
  expect(changes).toMatchObject([{ kind: 'narrowed', before: ['p/reads'], after: [] }]);
});

it('tells who can do something, and what somebody can', async () => {
  const who = await policy('who-can', 'POST /v1/charges', payments);
  expect(who.out).toContain(`payments/checkout-charges  ${CHECKOUT}`);
  expect(
    (
      await policy(
        'who-can',
        'DELETE /v1/charges',
        examples,
        '--service',
        'spiffe://prod.example/ns/payments/sa/api',
      )
    ).out,
  ).toBe('nobody\n');
  const what = await policy('what-can', CHECKOUT, examples, '-o', 'json');
  expect(JSON.parse(what.out).access).toMatchObject([
    { rule: 'payments/checkout-charges', operations: ['POST /v1/charges', 'GET /v1/charges/*'] },
  ]);
  expect((await policy('what-can', 'spiffe://nobody/a', payments)).out).toBe('nothing\n');
  expect((await policy('what-can', 'nobody', payments)).code).toBe(2);
});
