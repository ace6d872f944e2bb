import { once } from 'node:events';
import { Client, Metadata } from '@grpc/grpc-js';
import { dialUnix, loadService } from '../src/wire/index.ts';
import { waitForSocket } from './wait-for-socket.ts';

/** Asks again as long as there is no identity, as every Workload API client does. */
export async function firstSvid(socket: string): Promise<void> {
  await waitForSocket(socket);
  const dial = dialUnix(socket);
  const client = new Client(dial.target, dial.credentials, dial.options);
  try {
    while (!(await fetchOnce(client)));
  } finally {
    client.close();
  }
}

async function fetchOnce(client: Client): Promise<boolean> {
  const method = loadService('workload.proto', 'SpiffeWorkloadAPI').FetchX509SVID;
  if (method === undefined) throw new Error('the Workload API has no FetchX509SVID');
  const metadata = new Metadata();
  metadata.set('workload.spiffe.io', 'true');
  const call = client.makeServerStreamRequest(
    method.path,
    method.requestSerialize,
    method.responseDeserialize,
    {},
    metadata,
  );
  const outcome = await Promise.race([
    once(call, 'data').then(() => true),
    once(call, 'error').then(() => false),
  ]).catch(() => false);
  call.on('error', () => {});
  call.cancel();
  return outcome;
}
