import { describe, expect, it } from 'vitest';
import { maxAccessLogLineBytes, parseAccessLogEntry } from './access-log-entry.ts';

const line = {
  time: '2026-05-04T10:00:00.250Z',
  method: 'GET',
  path: '/v1/charges?x=1',
  authority: 'api.example',
  status: 403,
  details: 'rbac_access_denied_matched_policy[no-export]',
  peer: 'spiffe://prod.example/a',
  peerSerial: null,
  sourceIp: '10.0.0.1',
  destinationPort: '8443',
  service: 'spiffe://prod.example/b',
  rbac: { tp_enforced_effective_policy_id: 'no-export', tp_enforced_engine_result: 'denied' },
  extAuthz: null,
  'of-others': [1, { a: '-' }],
};

describe('parseAccessLogEntry', () => {
  it('reads a whole line', () => {
    expect(parseAccessLogEntry(JSON.stringify(line))).toEqual({
      time: Date.UTC(2026, 4, 4, 10, 0, 0, 250),
      method: 'GET',
      path: '/v1/charges?x=1',
      authority: 'api.example',
      status: 403,
      details: 'rbac_access_denied_matched_policy[no-export]',
      peer: 'spiffe://prod.example/a',
      sourceIp: '10.0.0.1',
      destinationPort: 8443,
      requestId: undefined,
      service: 'spiffe://prod.example/b',
      isWhole: true,
      enforced: { isAllowed: false, name: 'no-export' },
      alone: undefined,
      draft: undefined,
      check: undefined,
    });
  });

  it('reads who denied from the details where there is no metadata', () => {
    const { enforced } = parseAccessLogEntry(JSON.stringify({ ...line, rbac: null }));
    expect(enforced).toEqual({ isAllowed: false, name: 'no-export' });
  });

  it('reads the metadata alone, and tells the trees apart', () => {
    const metadata = {
      other_enforced_engine_result: 'allowed',
      tp_enforced_engine_result: 'allowed',
      tp_enforced_effective_policy_id: 'ask_check',
      tp_alone_shadow_engine_result: 'denied',
      tp_alone_shadow_effective_policy_id: 'no_rule_matched',
      tp_draft_shadow_engine_result: 'denied',
    };
    expect(parseAccessLogEntry(JSON.stringify(metadata))).toEqual({
      isWhole: false,
      enforced: { isAllowed: true, name: 'ask_check' },
      alone: { isAllowed: false, name: 'no_rule_matched' },
      draft: { isAllowed: false, name: undefined },
    });
  });

  it('reads what a denial is called', () => {
    expect(parseAccessLogEntry(' rbac_access_denied_matched_policy[a/b]\n')).toEqual({
      isWhole: false,
      details: 'rbac_access_denied_matched_policy[a/b]',
      enforced: { isAllowed: false, name: 'a/b' },
    });
  });

  it('reads what Check said', () => {
    const extAuthz = { reason: 'denied_by_rule', policy: 'p', rule: 'r', policy_digest: 'd' };
    const { check } = parseAccessLogEntry(JSON.stringify({ ...line, rbac: null, extAuthz }));
    expect(check).toEqual({
      reason: 'denied_by_rule',
      policy: 'p',
      rule: 'r',
      policyDigest: 'd',
    });
  });

  it.each([
    ['', 'expected a JSON object or rbac_access_denied'],
    ['[2026-05-04 10:00:00.250][1][info] starting', 'expected a JSON object or'],
    ['{"peer":"a","peer":"b"}', 'duplicate member name'],
    ['{"peer":"a"', 'no line of an access log'],
    ['{"level":"info","msg":"x"}', 'neither the fields of an access log nor'],
    ['{"peer":1}', 'peer is no text'],
    ['{"peer":null,"status":1000}', 'status is no number of at most 999'],
    ['{"peer":null,"destinationPort":"8443x"}', 'destinationPort is no number'],
    ['{"peer":null,"time":"yesterday"}', 'time is no RFC 3339 instant'],
    ['{"tp_enforced_engine_result":"maybe"}', 'neither "allowed" nor "denied"'],
    [`{"peer":"${'[{'.repeat(9)}"}`.replaceAll('"[', '['), 'no line of an access log'],
    [`{"peer":"${'a'.repeat(maxAccessLogLineBytes)}"}`, 'at most 131072 are allowed'],
  ])('refuses what is none, case %#', (text, why) => {
    expect(() => parseAccessLogEntry(text)).toThrow(why);
  });
});
