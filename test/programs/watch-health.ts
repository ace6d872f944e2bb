import { Client } from '@grpc/grpc-js';
import { dialUnix, loadService } from '../../src/wire/index.ts';

/** The statuses that grpc.health.v1 tells of a service behind a Unix socket, in order, until the stream ends. */
export interface HealthWatch {
  readonly statuses: readonly string[];
  /** Resolves when the stream has ended, with the details of its end. */
  readonly ended: Promise<string>;
  close(): void;
}

export function watchHealth(socket: string, service: string): HealthWatch {
  const { target, credentials, options } = dialUnix(socket);
  const client = new Client(target, credentials, options);
  const method = loadService('grpc/health/v1/health.proto', 'grpc.health.v1.Health')['Watch'];
  if (method === undefined) throw new Error('no method Watch');
  const call = client.makeServerStreamRequest(
    method.path,
    method.requestSerialize,
    (bytes): { status?: string } => method.responseDeserialize(bytes),
    { service },
  );
  const statuses: string[] = [];
  call.on('data', ({ status = 'none' }: { status?: string }) => void statuses.push(status));
  const ended = new Promise<string>((resolve) => {
    call.on('error', (error) => resolve(error.message));
    call.on('end', () => resolve('in order'));
  });
  return { statuses, ended, close: () => client.close() };
}
