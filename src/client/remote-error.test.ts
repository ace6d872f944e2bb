import { Metadata, status } from '@grpc/grpc-js';
import { expect, it } from 'vitest';
import { ERROR_CODE_KEY } from '../wire/index.ts';
import { remoteError } from './remote-error.ts';

const address = 'unix:///run/trustplane/admin.sock';
const failure = (code: status, details: string, metadata = new Metadata()) =>
  Object.assign(new Error(details), { code, details, metadata });

it("keeps the server's own code and words", () => {
  const metadata = new Metadata();
  metadata.set(ERROR_CODE_KEY, 'ERR_ENTRY_EXISTS');
  const error = remoteError(failure(status.ALREADY_EXISTS, 'it is there', metadata), address);
  expect(error).toMatchObject({ code: 'ERR_ENTRY_EXISTS', message: 'it is there' });
});

it('tells a socket that nobody listens on from one that this user may not open', () => {
  const connect = (errno: string) =>
    remoteError(
      failure(status.UNAVAILABLE, `No connection established. Last error: connect ${errno} /run`),
      address,
    );
  expect(connect('ECONNREFUSED')).toMatchObject({ code: 'ERR_UNREACHABLE' });
  expect(connect('EACCES')).toMatchObject({
    code: 'ERR_REMOTE_PERMISSION',
    message: expect.stringContaining(`may not connect to ${address}`),
  });
});

it('has a code for the answers of other servers', () => {
  expect(remoteError(failure(status.NOT_FOUND, 'no such entry'), address)).toMatchObject({
    code: 'ERR_REMOTE_NOT_FOUND',
    message: 'no such entry',
  });
});

it('leads from the socket of the agent to that of the server', () => {
  const error = remoteError(failure(status.UNIMPLEMENTED, 'no method Revoke'), address);
  expect(error.message).toBe(
    `no method Revoke: ${address} is another socket than the command is for, or of an earlier release`,
  );
});
