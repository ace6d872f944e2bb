import { status as grpc } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { TrustplaneError } from '../spiffe/index.ts';
import { exitCodeOf, statusOf, toServiceError } from './status.ts';

describe('statusOf', () => {
  it.each([
    ['ERR_SPIFFE_ID_EMPTY', grpc.INVALID_ARGUMENT, 400, 2],
    ['ERR_ATTEST_PROCESS_GONE', grpc.PERMISSION_DENIED, 403, 5],
    ['ERR_PEER_UNKNOWN', grpc.UNAUTHENTICATED, 401, 6],
    ['ERR_SHUTTING_DOWN', grpc.UNAVAILABLE, 503, 10],
    ['ERR_INTERNAL', grpc.INTERNAL, 500, 1],
  ] as const)('maps %s', (code, expectedGrpc, http, exit) => {
    const error = new TrustplaneError(code, 'why');
    expect(statusOf(error)).toEqual({ grpc: expectedGrpc, http, exit });
  });

  it('holds what is not a TrustplaneError to be internal', () => {
    expect(exitCodeOf(new Error('boom'))).toBe(1);
    expect(exitCodeOf(undefined)).toBe(1);
  });
});

describe('toServiceError', () => {
  it('sends message, status and stable code', () => {
    const sent = toServiceError(new TrustplaneError('ERR_SELECTOR', 'got "x"'));
    expect(sent).toMatchObject({ code: grpc.INVALID_ARGUMENT, details: 'got "x"' });
    expect(sent.metadata.get('trustplane-error-code')).toEqual(['ERR_SELECTOR']);
  });

  it('tells nothing of other errors, nor of causes', () => {
    const cause = new Error('password=hunter2');
    expect(toServiceError(cause)).toMatchObject({ code: grpc.INTERNAL, details: 'internal error' });
    const wrapped = new TrustplaneError('ERR_SELECTOR', 'bad', { cause });
    expect(JSON.stringify(toServiceError(wrapped))).not.toContain('hunter2');
  });

  it('keeps details short and encodable', () => {
    const sent = toServiceError(
      new TrustplaneError('ERR_SELECTOR', `\ud800${'x'.repeat(100_000)}`),
    );
    expect(sent.details.length).toBeLessThan(2_000);
    expect(() => encodeURI(sent.details)).not.toThrow();
  });
});
