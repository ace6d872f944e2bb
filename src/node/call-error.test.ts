import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { expect, it } from 'vitest';
import { TrustplaneError } from '../spiffe/index.ts';
import { messageType, toServiceError } from '../wire/index.ts';
import { callError, isPassing, isUnavailable, itemError } from './call-error.ts';

const DETAILS = 'spire.api.types.PermissionDeniedDetails';

function failed(code: status, metadata: Metadata = new Metadata()): ServiceError {
  return Object.assign(new Error(`${code} said`), { code, details: 'said', metadata });
}

/** As a SPIRE server refuses an agent. */
function refused(reason: number, type: string = DETAILS): Metadata {
  const details = messageType('spire/api/types/status.proto', DETAILS);
  const value = details.encode({ reason }).finish();
  const sent = messageType('google/rpc/status.proto', 'google.rpc.Status').encode({
    code: status.PERMISSION_DENIED,
    details: [{ type_url: `type.googleapis.com/${type}`, value }],
  });
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', Buffer.from(sent.finish()));
  return metadata;
}

it.each([
  [1, 'ERR_AGENT_EXPIRED'],
  [2, 'ERR_AGENT_NOT_ATTESTED'],
  [3, 'ERR_AGENT_NOT_ACTIVE'],
  [4, 'ERR_AGENT_BANNED'],
  [5, 'ERR_AGENT_MUST_REATTEST'],
  [0, 'ERR_REMOTE_PERMISSION'],
  [77, 'ERR_REMOTE_PERMISSION'],
])('reads the reason %i of a refusal as %s', (reason, code) => {
  expect(callError(failed(status.PERMISSION_DENIED, refused(reason)), 's:1')).toMatchObject({
    code,
    message: 's:1: said',
  });
});

it('reads no reason from other details, damaged details, or an answer that is no refusal', () => {
  const damaged = new Metadata();
  damaged.set('grpc-status-details-bin', Buffer.from('nonsense'));
  for (const metadata of [refused(4, 'a.b.C'), damaged]) {
    const error = callError(failed(status.PERMISSION_DENIED, metadata), 's:1');
    expect(error.code).toBe('ERR_REMOTE_PERMISSION');
  }
  expect(callError(failed(status.UNAVAILABLE, refused(4)), 's:1').code).toBe(
    'ERR_NODE_UNREACHABLE',
  );
});

it('takes the code of a trustplane server, and no other text for one', () => {
  const sent = toServiceError(new TrustplaneError('ERR_JOIN_TOKEN_UNUSABLE', 'spent'));
  expect(callError({ ...sent, name: 'e' }, 's:1').code).toBe('ERR_JOIN_TOKEN_UNUSABLE');
  const metadata = new Metadata();
  metadata.set('trustplane-error-code', 'toString');
  expect(callError(failed(status.NOT_FOUND, metadata), 's:1').code).toBe('ERR_REMOTE_NOT_FOUND');
});

it('tells silence, which another server may mend, from answers', () => {
  for (const code of [status.UNAVAILABLE, status.DEADLINE_EXCEEDED, status.CANCELLED]) {
    expect(isUnavailable(callError(failed(code), 's:1'))).toBe(true);
  }
  for (const code of [status.INTERNAL, status.PERMISSION_DENIED, status.RESOURCE_EXHAUSTED]) {
    expect(isUnavailable(callError(failed(code), 's:1'))).toBe(false);
  }
  for (const code of [status.UNAVAILABLE, status.RESOURCE_EXHAUSTED, status.ABORTED]) {
    expect(isPassing(callError(failed(code), 's:1'))).toBe(true);
  }
  expect(isPassing(callError(failed(status.PERMISSION_DENIED), 's:1'))).toBe(false);
  expect(itemError(status.NOT_FOUND, 'no entry')).toMatchObject({ code: 'ERR_REMOTE_NOT_FOUND' });
  expect(itemError(99, 'what').code).toBe('ERR_REMOTE');
});
