import type { ServerUnaryCall, ServiceDefinition, sendUnaryData } from '@grpc/grpc-js';
import type { Log, Metrics } from '../ops/index.ts';
import { TrustplaneError, type WorkloadSource } from '../spiffe/index.ts';
import { type GrpcService, loadService, type PeerProcess, toServiceError } from '../wire/index.ts';
import { requireSecurityHeader } from './security-header.ts';
import { StreamQuota } from './stream-quota.ts';
import { refuse, serveUpdates, type UpdateCall } from './update-stream.ts';
import { createWorkloadMetrics, type WorkloadMetrics } from './workload-metrics.ts';
import {
  createX509BundlesEncoder,
  createX509SvidEncoder,
  type UpdateEncoder,
} from './x509-responses.ts';

const MAX_STREAMS_PER_PROCESS = 1_000;
const UNARY = ['FetchJWTSVID', 'ValidateJWTSVID'];
const STREAMING = ['FetchJWTBundles', 'FetchWITSVID', 'FetchWITBundles'];

export interface WorkloadApiOptions {
  readonly source: WorkloadSource<PeerProcess>;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Give the own bundle to callers without an identity. Default: false. */
  readonly allowUnauthenticatedVerifiers?: boolean;
  /** Open streams of one process. Default: 1000. */
  readonly maxStreamsPerProcess?: number;
}

/**
 * The SPIFFE Workload API over Unix sockets: the X.509 profile. JWT and WIT methods answer
 * Unimplemented.
 */
export function createWorkloadApi(options: WorkloadApiOptions): GrpcService {
  const metrics = createWorkloadMetrics(options.metrics);
  const quota = new StreamQuota<PeerProcess>(
    options.maxStreamsPerProcess ?? MAX_STREAMS_PER_PROCESS,
  );
  const updates = (method: string, encode: UpdateEncoder, allowNoIdentity: boolean) => {
    const { source, log } = options;
    const shared = { method, source, encode, allowNoIdentity, quota, log, metrics };
    return (call: UpdateCall) => serveUpdates(call, shared);
  };
  const allowVerifiers = options.allowUnauthenticatedVerifiers ?? false;
  return {
    definition: withOwnCodec(loadService('workload.proto', 'SpiffeWorkloadAPI')),
    implementation: {
      FetchX509SVID: updates('FetchX509SVID', createX509SvidEncoder(), false),
      FetchX509Bundles: updates('FetchX509Bundles', createX509BundlesEncoder(), allowVerifiers),
      ...Object.fromEntries(UNARY.map((method) => [method, unaryNotServed(method, metrics)])),
      ...Object.fromEntries(STREAMING.map((method) => [method, streamNotServed(method, metrics)])),
    },
  };
}

/** Requests are parsed where a malformed one can be named; messages are encoded once per update, not once per stream. */
function withOwnCodec(definition: ServiceDefinition): ServiceDefinition {
  const pass = (bytes: Buffer): Buffer => bytes;
  return Object.fromEntries(
    Object.entries(definition).map(([name, method]) => [
      name,
      { ...method, requestDeserialize: pass, responseSerialize: pass },
    ]),
  );
}

function unaryNotServed(method: string, metrics: WorkloadMetrics) {
  return (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>): void => {
    const error = notServedError(call, method);
    metrics.errors.inc({ method, code: error.code });
    callback(toServiceError(error));
  };
}

function streamNotServed(method: string, metrics: WorkloadMetrics) {
  return (call: UpdateCall): void => {
    refuse(call, notServedError(call, method), { method, metrics });
  };
}

function notServedError(
  call: Pick<ServerUnaryCall<Buffer, Buffer>, 'metadata'>,
  method: string,
): TrustplaneError {
  try {
    requireSecurityHeader(call.metadata);
  } catch (error) {
    if (error instanceof TrustplaneError) return error;
    throw error;
  }
  return new TrustplaneError('ERR_WORKLOAD_UNIMPLEMENTED', `${method} is not served`);
}
