import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { PolicyFolder, runPolicy } from '../../test/fakes/policy-program.ts';

const folder = new PolicyFolder();
afterAll(() => folder[Symbol.dispose]());
const API = 'spiffe://prod.example/ns/payments/sa/api';

const payments = folder.write(
  'payments.yaml',
  `service: ${API}`,
  'rules:',
  '  - { id: read, from: [spiffe://prod.example/web], allow: [GET /v1/**] }',
  '  - { id: late, from: authenticated, allow: [GET /late], when: { time: { until: 2030-01-01T00:00:00Z } } }',
);
const examples = path.join(import.meta.dirname, '../../examples/policies');

const exportPolicy = (...args: string[]) => runPolicy('export', '--format', 'envoy-rbac', ...args);
const RBAC = 'type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC';

describe('policy export', () => {
  it('prints filters to paste, and on standard error who decides by what', async () => {
    const { code, out, err } = await exportPolicy(payments);
    expect(code).toBe(0);
    expect(parse(out)).toMatchObject([
      { name: 'tp-attrs' },
      { name: 'trustplane.rbac', typed_config: { '@type': RBAC, rules_stat_prefix: 'tp_' } },
    ]);
    expect(err).toContain(`rules of ${API} for Envoy, layout nested`);
    expect(err).toMatch(/p\/read +allow/u);
  });

  it('prints the same as JSON', async () => {
    const [yaml, json] = [await exportPolicy(payments), await exportPolicy(payments, '-o', 'json')];
    expect(JSON.parse(json.out)).toEqual(parse(yaml.out));
  });

  it('says what ext_authz has beside its own where it is asked behind the rules', async () => {
    const { out } = await exportPolicy(payments, '--mode', 'before-check', '--per-rule-stats');
    expect(parse(out)).toMatchObject([
      { name: 'tp-attrs' },
      {
        name: 'trustplane.rbac-before-check',
        typed_config: { shadow_rules_stat_prefix: 'tp_alone_', track_per_rule_stats: true },
      },
    ]);
    expect(out).toContain('#     - key: tp_alone_shadow_engine_result');
  });

  it('says what tells the rules where connections come from, where they ask', async () => {
    const without = await exportPolicy(payments);
    expect(without.out).not.toContain('tp.source');
    const near = folder.write(
      'near.yaml',
      `service: ${API}`,
      'rules:',
      '  - { id: near, from: anyone, allow: [GET /v1], when: { source.ip: [10.0.0.0/8] } }',
    );
    const { out } = await exportPolicy(near);
    expect(out).toContain('# - name: tp-attrs');
    expect(out).toContain('#       - object_key: tp.source');
  });

  it('prints filters of connections, of an older Envoy without what tells their serial numbers', async () => {
    const rules = { name: 'trustplane.network-rbac', typed_config: { stat_prefix: 'tp_' } };
    const args = ['--mode', 'network', '-o', 'json'];
    const { out } = await exportPolicy(payments, ...args);
    expect(JSON.parse(out)).toMatchObject([{ name: 'tp-attrs' }, rules]);
    const older = await exportPolicy(payments, ...args, '--envoy-version', '1.36');
    expect(JSON.parse(older.out)).toMatchObject([rules]);
  });

  it('writes a resource that Envoy reads from a file', async () => {
    const file = path.join(folder.path, 'rules.json');
    const args = ['--as', 'resource', '-o', 'json', '--output-file', file];
    expect((await exportPolicy(payments, ...args)).out).toBe('');
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({
      version_info: expect.stringMatching(/^[0-9a-f]{64}$/u),
      resources: [{ name: 'trustplane.rbac', typed_config: { '@type': RBAC } }],
    });
  });

  it('prints who decides instead, for machines too', async () => {
    const text = await exportPolicy(payments, '--split');
    expect(text).toMatchObject({ code: 0, err: '' });
    expect(text.out).toMatch(/^RULE +EFFECT +DECIDED BY +WHY\n/u);
    const json = await exportPolicy(payments, '--split', '-o', 'json');
    expect(JSON.parse(json.out).rules).toHaveLength(2);
  });

  it('takes the service of several by its name', async () => {
    const refused = await exportPolicy(examples);
    expect(refused).toMatchObject({ code: 2, out: '' });
    expect(refused.err).toContain('the policies are for several services');
    const named = await exportPolicy(examples, '--service', API, '--split');
    expect(named.out).toContain('payments/');
    expect(named.out).not.toContain('ledger/');
  });

  it('refuses a service that no policy is for', async () => {
    const { code, err } = await exportPolicy(payments, '--service', 'spiffe://prod.example/other');
    expect(code).toBe(2);
    expect(err).toContain(
      'there is nothing to export: no policy is for spiffe://prod.example/other',
    );
  });

  it('chooses the layout by the version of Envoy, and refuses one that is too old', async () => {
    const of = async (version: string, ...more: string[]) =>
      await exportPolicy(payments, '--envoy-version', version, ...more);
    expect((await of('1.34.2')).err).toContain('layout flat-denies');
    expect((await of('1.40')).err).toContain('layout nested');
    expect((await of('1.40', '--layout', 'flat-denies')).err).toContain('layout flat-denies');
    const old = await of('1.33', '-o', 'json');
    expect([old.code, JSON.parse(old.err)]).toMatchObject([
      2,
      { error: { code: 'ERR_RBAC_ENVOY' } },
    ]);
    expect((await of('1.34', '--layout', 'nested')).err).toContain('expected 1.35 or later');
    expect((await of('newest')).code).toBe(2);
  });

  it('denies all where nothing is enforced', async () => {
    const observed = folder.write(
      'observed.yaml',
      `service: ${API}`,
      'mode: { stage: observe }',
      'rules: [{ id: all, from: anyone, allow: [/**] }]',
    );
    const { code, out } = await exportPolicy(observed);
    expect(code).toBe(0);
    const [, { typed_config: config }] = parse(out);
    expect(JSON.stringify(config.matcher)).not.toContain('ALLOW');
    expect(JSON.stringify(config.shadow_matcher)).toContain('ALLOW');
  });

  it('trusts the trust domains that are named, and refuses what is none', async () => {
    const { out } = await exportPolicy(payments, '--trust-domain', 'prod.example');
    expect(out).toContain('name: unknown_trust_domain');
    expect((await exportPolicy(payments)).out).not.toContain('unknown_trust_domain');
    expect((await exportPolicy(payments, '--trust-domain', 'Prod.example')).code).toBe(2);
  });

  it('names a directory without policies', async () => {
    const { code, err } = await exportPolicy(import.meta.dirname);
    expect([code, err]).toEqual([2, expect.stringContaining('no policy files')]);
  });
});
