import { afterAll, expect, it } from 'vitest';
import { PolicyFolder, runPolicy } from '../../test/fakes/policy-program.ts';

const folder = new PolicyFolder();
afterAll(() => folder[Symbol.dispose]());
const policy = folder.write(
  'p.yaml',
  'service: spiffe://a/api',
  'rules: [{ id: read, from: [spiffe://a/web], allow: [GET /v1/**] }]',
);
const WHY = 'no policy is for spiffe://a/apl; these are for spiffe://a/api';

it('is said of a request by hand', async () => {
  const asked = ['--service', 'spiffe://a/apl', '--as', 'spiffe://a/web', '--request', 'GET /v1/x'];
  const { code, out } = await runPolicy('explain', policy, ...asked);
  expect([code, out]).toEqual([0, expect.stringContaining(WHY)]);
});

it('is said of a line of an access log, which Envoy agrees with', async () => {
  const line = JSON.stringify({
    method: 'GET',
    path: '/v1/x',
    peer: 'spiffe://a/web',
    service: 'spiffe://a/apl',
    rbac: {
      tp_enforced_engine_result: 'denied',
      tp_enforced_effective_policy_id: 'policy_missing',
    },
  });
  const { out } = await runPolicy('explain', policy, '--access-log', line, '-o', 'json');
  expect(JSON.parse(out)).toMatchObject({ lines: [{ agreement: 'same', why: WHY }] });
});

it('is a rule that is not there, too', async () => {
  const { out } = await runPolicy(
    'explain',
    policy,
    '--access-log',
    'rbac_access_denied_matched_policy[raed]',
  );
  expect(out).toContain('these policies have no rule raed');
});
