import { beforeAll, expect, it } from 'vitest';
import { type EnvoyMessages, loadEnvoyMessages } from '../../test/oracles/envoy-messages.ts';
import { type Decision, failedDecision } from '../authz/index.ts';
import { CheckResponses, type Speech } from './check-response.ts';

let envoy: EnvoyMessages;
beforeAll(async () => {
  envoy = await loadEnvoyMessages(['envoy/service/auth/v3/external_auth.proto']);
});

const names = new Map([
  ['Unauthorized', 401],
  ['Forbidden', 403],
  ['TooManyRequests', 429],
  ['ServiceUnavailable', 503],
]);

/** What Envoy reads: code, HTTP status, body and its type. */
function tell(decision: Partial<Decision>, speech: Speech = 'http') {
  const denied = { ...failedDecision('no_rule_matched', 'd'), ...decision };
  const bytes = new CheckResponses().build(denied, speech, 'id');
  const answer = Object(envoy.read('envoy.service.auth.v3.CheckResponse', bytes));
  const response = answer.denied_response ?? {};
  const type = response.headers?.[0]?.header?.value;
  return [answer.status.code, names.get(response.status?.code), response.body ?? '', type];
}

const problem = (title: string, status: number) =>
  JSON.stringify({ type: 'about:blank', title, status });
const PROBLEM = 'application/problem+json';

it.each([
  [401, 16, 'Unauthorized'],
  [403, 7, 'Forbidden'],
  [429, 8, 'Too Many Requests'],
  [503, 14, 'Unavailable'],
] as const)('denies with the status %i that the policies want', (status, code, title) => {
  const deniedResponse = { status, body: 'problem+json' } as const;
  expect(tell({ deniedResponse })).toEqual([code, status, problem(title, status), PROBLEM]);
  expect(tell({ deniedResponse }, 'grpc')).toEqual([code, status, title, undefined]);
  expect(tell({ deniedResponse }, 'tcp')).toEqual([code, undefined, '', undefined]);
});

it('denies without a body where they want none', () => {
  const deniedResponse = { body: 'none' } as const;
  expect(tell({ deniedResponse })).toEqual([7, 403, '', undefined]);
  expect(tell({ deniedResponse }, 'grpc')).toEqual([7, 403, '', undefined]);
  expect(tell({ deniedResponse, reason: 'unauthenticated' })).toEqual([16, 401, '', undefined]);
});

it('has every reason look the same where they want one status (AUTHZ-7)', () => {
  const deniedResponse = { status: 403 } as const;
  const reasons = ['unauthenticated', 'bad_svid', 'denied_by_rule', 'body_too_large'] as const;
  for (const reason of reasons)
    expect(tell({ reason, deniedResponse })).toEqual([7, 403, problem('Forbidden', 403), PROBLEM]);
});

it('tells a failure of its own as one, whatever they want (AUTHZ-8)', () => {
  const failed = failedDecision('internal_error', 'd');
  const plain = new CheckResponses().build(failed, 'http', 'id');
  const wanted = { ...failed, deniedResponse: { status: 403 } } as const;
  expect(new CheckResponses().build(wanted, 'http', 'id').equals(plain)).toBe(true);
});

it('never mixes up answers that it remembers', () => {
  const responses = new CheckResponses();
  const denied = failedDecision('no_rule_matched', 'd');
  const plain = responses.build(denied, 'http', 'id');
  const bare = responses.build({ ...denied, deniedResponse: { body: 'none' } }, 'http', 'id');
  expect(bare.equals(plain)).toBe(false);
  expect(responses.build(denied, 'http', 'id').equals(plain)).toBe(true);
});
