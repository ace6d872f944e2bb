import type { ServerDuplexStream } from '@grpc/grpc-js';
import { status } from '@grpc/grpc-js';
import { createMetrics, silentLog, systemClock } from '../src/ops/index.ts';
import { createSds, createSecretType, defaultSdsNames } from '../src/sds/index.ts';
import type { WorkloadUpdate } from '../src/spiffe/index.ts';
import { type GrpcService, messageType, type PeerProcess, serveUnix } from '../src/wire/index.ts';
import { FakeWorkloadSource } from '../test/fakes/fake-workload-source.ts';
import { textIdentity, textUpdate } from '../test/fakes/test-updates.ts';
import type { ServerOrder, ServerReport } from './sds-fanout.ts';

/**
 * The server of the fan-out measurement: SDS on one socket, and beside it the least a broadcast over
 * grpc-js can be, which writes one buffer to every open call.
 */
const [path = ''] = process.argv.slice(2);
const source = new FakeWorkloadSource<PeerProcess>(updateOf(0));
const calls = new Set<ServerDuplexStream<Buffer, Buffer>>();

const common = { source, clock: systemClock, log: silentLog, metrics: createMetrics() };
const secrets = createSecretType({
  ...common,
  names: defaultSdsNames,
  disableSpiffeCertValidation: false,
  unmatchableCa: Buffer.from('nothing'),
});

await serveUnix({
  path,
  mode: 0o600,
  log: silentLog,
  metrics: createMetrics(),
  services: [createSds(secrets, common), bareBroadcast()],
});
report({ kind: 'ready' });

process.on('message', (order: ServerOrder) => {
  if (order.kind === 'memory') {
    report({ kind: 'memory', rssBytes: process.memoryUsage.rss() });
    return;
  }
  const bytes = responseOf(order.round);
  const update = updateOf(order.round);
  const at = String(process.hrtime.bigint());
  if (order.kind === 'sds') source.publish(update);
  else for (const call of calls) call.write(bytes);
  report({ kind: 'triggered', at });
});
process.on('disconnect', () => process.exit());

function report(message: ServerReport): void {
  process.send?.(message);
}

/** An SVID of about the size of a real one: chain and key together come to 3 KB of PEM. */
function updateOf(round: number): WorkloadUpdate {
  const der = (name: string, bytes: number) => Buffer.alloc(bytes, `${name} ${round} `);
  const identity = textIdentity('/web', round, {
    certificateChain: [der('leaf', 1000), der('intermediate', 1000)],
    privateKey: der('key', 138),
    expiresAt: Number.POSITIVE_INFINITY,
  });
  return textUpdate([identity]);
}

function responseOf(round: number): Buffer {
  const type = messageType(
    'envoy/service/discovery/v3/discovery.proto',
    'envoy.service.discovery.v3.DiscoveryResponse',
  );
  const secret = {
    type_url: 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret',
    value: Buffer.alloc(3050, `secret ${round} `),
  };
  return Buffer.from(
    type
      .encode({ version_info: 'x'.repeat(32), nonce: String(round), resources: [secret] })
      .finish(),
  );
}

function bareBroadcast(): GrpcService {
  const pass = (bytes: Buffer): Buffer => bytes;
  return {
    definition: {
      Broadcast: {
        path: '/bench.Bare/Broadcast',
        requestStream: true,
        responseStream: true,
        requestSerialize: pass,
        requestDeserialize: pass,
        responseSerialize: pass,
        responseDeserialize: pass,
      },
    },
    implementation: {
      Broadcast(call: ServerDuplexStream<Buffer, Buffer>) {
        call.on('data', () => {
          if (calls.has(call)) return;
          calls.add(call);
          call.write(responseOf(0));
        });
        call.on('cancelled', () => calls.delete(call));
        call.on('end', () => call.emit('error', { code: status.CANCELLED }));
      },
    },
  };
}
