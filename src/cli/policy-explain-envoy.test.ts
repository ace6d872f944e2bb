import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { PolicyFolder, runPolicy } from '../../test/fakes/policy-program.ts';

const folder = new PolicyFolder();
afterAll(() => folder[Symbol.dispose]());
const SERVICE = 'spiffe://a/api';
const policy = folder.write(
  'p.yaml',
  `service: ${SERVICE}`,
  'rules:',
  '  - { id: read, from: [spiffe://a/web], allow: [GET /v1/**] }',
  '  - { id: no-export, from: authenticated, deny: [/v1/export/**] }',
  '  - id: ticket',
  '    from: [spiffe://a/sre]',
  '    allow: [ANY /v2/**]',
  '    when: { headers: { x-ticket: "INC-*" } }',
  '  - { id: ports, from: [spiffe://a/db], allow: [{ port: 5432 }] }',
);

const denied = (name: string): object => ({
  tp_enforced_engine_result: 'denied',
  tp_enforced_effective_policy_id: name,
});
const allowed = (name: string): object => ({
  tp_enforced_engine_result: 'allowed',
  tp_enforced_effective_policy_id: name,
});
const lineOf = (given: object): string =>
  JSON.stringify({
    time: '2026-05-04T10:00:00Z',
    method: 'GET',
    path: '/v1/x',
    authority: 'api.example',
    peer: 'spiffe://a/web',
    sourceIp: '10.0.0.1',
    destinationPort: 8443,
    service: SERVICE,
    details: null,
    ...given,
  });
const ask = async (given: object, ...flags: readonly string[]) => {
  const line = lineOf(given);
  const { code, out, err } = await runPolicy('explain', policy, '--access-log', line, ...flags);
  return { code, out, err };
};

describe('explain --access-log', () => {
  it('names the rule that denied, where it stands, and what the engine says', async () => {
    const { code, out } = await ask({ path: '/v1/export/all', rbac: denied('no-export') });
    expect(code).toBe(0);
    expect(out).toBe(`caller     spiffe://a/web
request    GET /v1/export/all
envoy      deny, RBAC: no-export
means      the rule denies it
rule       p/no-export
at         ${policy}:7:5
engine     deny, denied_by_rule: p/no-export
engine at  ${policy}:7:5
agreement  same
`);
  });

  it.each([
    ['bad_svid', { peer: 'spiffe://a/web,spiffe://b/x' }, 'not exactly one URI SAN'],
    ['non_canonical_path', { path: '/v1//x' }, 'spelling that servers read in several ways'],
    ['no_rule_matched', { path: '/v3' }, 'no rule that Envoy may decide by alone'],
  ])('says the guard or default %s in words', async (name, given, means) => {
    const { out } = await ask({ ...given, rbac: denied(name) });
    expect(out).toContain(means);
    expect(out).toMatch(new RegExp(`engine +deny, ${name}\nagreement +same\n`, 'u'));
  });

  it('does not ask policies who is trusted', async () => {
    const { out } = await ask({ rbac: denied('unknown_trust_domain') });
    expect(out).toMatch(/agreement +unknown\nwhy +who is trusted or revoked is not in the/u);
  });

  it('names what neither the line nor a flag says, and takes it from flags', async () => {
    const sre = { peer: 'spiffe://a/sre', path: '/v2/x', rbac: allowed('ticket') };
    const without = await ask(sre);
    expect(without.out).toMatch(/why +not known: header x-ticket \(--header\)\n/u);
    expect(without.out).toContain('nearest rules:\n  p/ticket: headers:');
    const { out } = await ask(sre, '--header', 'x-ticket: INC-1');
    expect(out).toMatch(/agreement +same\n$/u);
  });

  it('says where Envoy had other rules', async () => {
    const { out } = await ask({ rbac: denied('gone') });
    expect(out).toMatch(/agreement +differs\nwhy +these policies have no rule gone/u);
    const stale = await ask({ rbac: allowed('read'), path: '/v3' });
    expect(stale.out).toMatch(/agreement +differs\nwhy +Envoy had other policies then/u);
    const early = await ask({ rbac: denied('policy_missing') });
    expect(early.out).toMatch(/means +Envoy has no rules.*\n(?:.*\n)+why +Envoy had no rules/u);
  });

  it('explains metadata alone, with a request from flags', async () => {
    const text = 'rbac_access_denied_matched_policy[no-export]';
    const { out } = await runPolicy('explain', policy, '--access-log', text);
    expect(out).toContain(
      `at         ${policy}:7:5\nagreement  unknown\nwhy        the line does not`,
    );
    const flags = ['--as', 'spiffe://a/web', '--request', 'GET /v1/export/a'];
    const metadata = JSON.stringify(denied('no-export'));
    const known = await runPolicy('explain', policy, '--access-log', metadata, ...flags);
    expect(known.out).toContain('engine     deny, denied_by_rule: p/no-export');
    expect(known.out).toContain('agreement  same');
  });

  it("takes Check's word where RBAC left it to Check", async () => {
    const rbac = {
      ...allowed('ask_check'),
      tp_alone_shadow_engine_result: 'denied',
      tp_alone_shadow_effective_policy_id: 'no_rule_matched',
    };
    const extAuthz = { reason: 'allowed_by_rule', policy: 'p', rule: 'read' };
    const { out } = await ask({ rbac, extAuthz });
    expect(out).toContain(`envoy      allow, Check: p/read`);
    expect(out).toContain(`at         ${policy}:6:5`);
    const alone = { tp_alone_shadow_engine_result: 'allowed' };
    const named = { ...rbac, ...alone, tp_alone_shadow_effective_policy_id: 'read' };
    expect((await ask({ rbac: named })).out).toContain('envoy      allow, RBAC: read');
    const unsaid = await ask({ rbac, details: 'ext_authz_error' });
    expect(unsaid.out).toContain('Check did not answer');
  });

  it('explains a connection without HTTP', async () => {
    const tcp = { method: null, path: null, authority: null, peer: 'spiffe://a/db' };
    const { out } = await ask({ ...tcp, destinationPort: 5432, rbac: allowed('ports') });
    expect(out).not.toContain('request ');
    expect(out).toContain('engine     allow, allowed_by_rule: p/ports');
  });

  it('shows what a draft would do', async () => {
    const draft = {
      tp_draft_shadow_engine_result: 'denied',
      tp_draft_shadow_effective_policy_id: 'p/no-export',
    };
    const { out } = await ask({ rbac: { ...allowed('read'), ...draft } });
    expect(out).toContain(`draft      deny, RBAC: p/no-export\ndraft at   ${policy}:7:5\n`);
  });

  it('knows that a connection which Envoy lets in has no rule in the log', async () => {
    const connection = { protocol: null, details: null, peer: 'spiffe://a/db', service: SERVICE };
    const line = JSON.stringify({ ...connection, destinationPort: 5432, rbac: null });
    const { out } = await runPolicy('explain', policy, '--access-log', line);
    expect(out).toMatch(/means +Envoy names no rule of a connection that it lets in/u);
    expect(out).toMatch(/engine +allow, allowed_by_rule: p\/ports/u);
  });

  it('tells of several lines which a draft would decide otherwise', async () => {
    const drafted = (name: string, result: string): object => ({
      rbac: {
        ...allowed('read'),
        tp_draft_shadow_engine_result: result,
        tp_draft_shadow_effective_policy_id: name,
      },
    });
    const log = path.join(folder.path, 'drafts.jsonl');
    const lines = [lineOf(drafted('no-export', 'denied')), lineOf(drafted('read', 'allowed'))];
    writeFileSync(log, lines.join('\n'));
    const { out } = await runPolicy('explain', policy, '--access-log', log);
    const [titles, first, second] = out.split('\n').map((line) => line.split(/ {2,}/u));
    expect(titles?.slice(2, 6)).toEqual(['ENVOY', 'RULE AT', 'DRAFT', 'ENGINE SAYS']);
    expect(first?.[4]).toBe('deny, RBAC: no-export');
    expect(second?.[4]).toBe('allow, allowed_by_rule: p/read');
  });

  it('lays several lines out, those that differ first, and names lines that are none', async () => {
    const log = path.join(folder.path, 'access.jsonl');
    const lines = [
      lineOf({ rbac: allowed('read') }),
      '[info] an Envoy begins',
      '',
      lineOf({ rbac: denied('no_rule_matched') }),
      `{"peer":"${'a'.repeat(200_000)}"}`,
      lineOf({ rbac: denied('revoked') }),
    ];
    writeFileSync(log, lines.join('\n'));
    const { code, out, err } = await runPolicy('explain', policy, '--access-log', log);
    expect(code).toBe(2);
    expect(out.split('\n').map((line) => line.split(/ {2,}/u).slice(0, 3))).toEqual([
      ['LINE', 'ENGINE', 'ENVOY'],
      ['4', 'differs', 'deny, RBAC: no_rule_matched'],
      ['6', 'unknown', 'deny, RBAC: revoked'],
      ['1', 'same', 'allow, RBAC: read'],
      ['1 same, 1 differ, 1 unknown'],
      [''],
    ]);
    expect(err).toContain(`${log}:2: no line of an access log: expected a JSON object`);
    expect(err).toContain(`${log}:5: the line has more than 131072 characters`);
    const json = await runPolicy('explain', policy, '--access-log', log, '-o', 'json');
    expect(JSON.parse(json.out)).toMatchObject({
      lines: [{ line: 4 }, { line: 6 }, { line: 1 }],
      mistakes: [expect.stringContaining(':2:'), expect.stringContaining(':5:')],
    });
  });

  it('shows what a terminal would obey', async () => {
    const given = { path: '/v1\u001b[2J/x', peer: 'spiffe://a/w\r\nagreement  same' };
    const one = await ask({ ...given, rbac: denied('no_rule_matched') });
    expect(one.out).toContain('GET /v1\\u{1b}[2J/x\n');
    expect(one.out).toContain('caller     spiffe://a/w\\u{d}\\u{a}agreement  same\n');
    const text = await runPolicy('explain', policy, '--access-log', '\u001b[31m');
    expect(text.err).not.toContain('\u001b');
  });

  it('refuses what is no log', async () => {
    const explain = async (...args: readonly string[]) =>
      await runPolicy('explain', policy, '--access-log', ...args);
    expect(await explain('{"a":1}')).toMatchObject({
      code: 2,
      err: expect.stringContaining('(ERR_ACCESS_LOG)'),
    });
    expect((await explain('/nowhere')).err).toContain('ERR_FILE_READ');
    expect((await explain('{}', '--decision', 'a')).err).toContain('ERR_USAGE');
  });
});
