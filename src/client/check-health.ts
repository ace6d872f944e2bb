import { Client, type ServiceError } from '@grpc/grpc-js';
import { dialUnix, loadService } from '../wire/index.ts';
import { remoteError } from './remote-error.ts';

const CHECK_TIMEOUT_MS = 3_000;

/** Asks grpc.health.v1 behind a Unix socket; undefined when it is serving, else what is wrong. */
export function checkHealth(socket: string): Promise<string | undefined> {
  const dial = dialUnix(socket);
  const client = new Client(dial.target, dial.credentials, dial.options);
  const check = loadService('grpc/health/v1/health.proto', 'grpc.health.v1.Health').Check;
  if (check === undefined) throw new Error('grpc.health.v1.Health has no method Check');
  return new Promise((resolve) => {
    const answer = (error: ServiceError | null, response?: { status?: string }): void => {
      client.close();
      if (error !== null) resolve(remoteError(error, `unix://${socket}`).message);
      else
        resolve(
          response?.status === 'SERVING'
            ? undefined
            : `its status is ${response?.status ?? 'unknown'}`,
        );
    };
    client.makeUnaryRequest(
      check.path,
      check.requestSerialize,
      check.responseDeserialize,
      {},
      { deadline: Date.now() + CHECK_TIMEOUT_MS },
      answer,
    );
  });
}
