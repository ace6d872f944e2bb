import { Client, type ClientDuplexStream } from '@grpc/grpc-js';
import { dialUnix, messageType } from '../src/wire/index.ts';
import type { ClientOrder, ClientReport } from './sds-fanout.ts';

/** One of the client processes of the fan-out measurement: a connection per stream, every response acknowledged. */
const [path = '', count = '0'] = process.argv.slice(2);
const DISCOVERY = 'envoy/service/discovery/v3/discovery.proto';
const requestType = messageType(DISCOVERY, 'envoy.service.discovery.v3.DiscoveryRequest');
const responseType = messageType(DISCOVERY, 'envoy.service.discovery.v3.DiscoveryResponse');
const METHODS = {
  sds: '/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets',
  bare: '/bench.Bare/Broadcast',
};
/** Connects under way at once. */
const AT_ONCE = 50;

const clients = Array.from({ length: Number(count) }, () => {
  const { target, credentials, options } = dialUnix(path);
  return new Client(target, credentials, { ...options, 'grpc.use_local_subchannel_pool': 1 });
});
const received = { sds: 0, bare: 0 };

process.on('message', (order: ClientOrder) => void open(order.kind));
process.on('disconnect', () => process.exit());

/** Opens a stream of that kind on each connection; SDS streams have their first secret when done. */
async function open(kind: 'sds' | 'bare'): Promise<void> {
  const waiting = [...clients];
  const openNext = async (): Promise<void> => {
    for (let client = waiting.pop(); client !== undefined; client = waiting.pop()) {
      await openStream(client, kind);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, openNext));
  received[kind] = 0;
  report({ kind: 'open' });
}

function openStream(client: Client, kind: 'sds' | 'bare'): Promise<void> {
  const pass = (bytes: Buffer): Buffer => bytes;
  const call: ClientDuplexStream<Buffer, Buffer> = client.makeBidiStreamRequest(
    METHODS[kind],
    pass,
    pass,
  );
  call.write(requestOf(''));
  return new Promise((resolve, reject) => {
    call.on('error', reject);
    call.on('data', (bytes: Buffer) => {
      received[kind]++;
      if (received[kind] === clients.length) {
        report({ kind: 'received', at: String(process.hrtime.bigint()) });
        received[kind] = 0;
      }
      const { nonce } = responseType.toObject(responseType.decode(bytes));
      call.write(requestOf(String(nonce)));
      resolve();
    });
  });
}

function requestOf(nonce: string): Buffer {
  return Buffer.from(
    requestType.encode({ resource_names: ['default'], response_nonce: nonce }).finish(),
  );
}

function report(message: ClientReport): void {
  process.send?.(message);
}
