import type { ServiceDefinition } from '@grpc/grpc-js';
import type { Log, Metrics } from '../ops/index.ts';
import {
  type Clock,
  type StreamRegister,
  type TokenSource,
  TrustplaneError,
  type WorkloadSource,
} from '../spiffe/index.ts';
import { type GrpcService, loadService, type PeerProcess } from '../wire/index.ts';
import { fetchJwtSvid } from './fetch-jwt-svid.ts';
import { createJwtBundlesEncoder } from './jwt-bundles-response.ts';
import { requireSecurityHeader } from './security-header.ts';
import { StreamQuota } from './stream-quota.ts';
import { createUnaryHandler, type Question } from './unary-call.ts';
import type { UpdateEncoder } from './update-encoder.ts';
import { type BundleAudience, refuse, serveUpdates, type UpdateCall } from './update-stream.ts';
import { validateJwtSvid } from './validate-jwt-svid.ts';
import { createWorkloadMetrics, type WorkloadMetrics } from './workload-metrics.ts';
import { createX509BundlesEncoder, createX509SvidEncoder } from './x509-responses.ts';

const MAX_STREAMS_PER_PROCESS = 1_000;
const NOT_SERVED = ['FetchWITSVID', 'FetchWITBundles'];

export interface WorkloadApiOptions {
  readonly source: WorkloadSource<PeerProcess>;
  readonly tokens: TokenSource<PeerProcess>;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Give the own bundle to callers without an identity, and validate with it. Default: false. */
  readonly allowUnauthenticatedVerifiers?: boolean;
  /** Claims of foreign JWT-SVIDs that callers are told beside the registered ones. Default: none. */
  readonly allowedForeignJwtClaims?: readonly string[];
  /** Told which callers have the own bundle. Default: nobody. */
  readonly audience?: BundleAudience | undefined;
  /** Open calls of one process. Default: 1000. */
  readonly maxStreamsPerProcess?: number;
  /** Where streams are noted while they are open, and what was refused. Default: nowhere. */
  readonly register?: StreamRegister | undefined;
}

/**
 * The SPIFFE Workload API over Unix sockets: the X.509 and JWT profiles. WIT methods answer
 * Unimplemented.
 */
export function createWorkloadApi(options: WorkloadApiOptions): GrpcService {
  const metrics = createWorkloadMetrics(options.metrics);
  const quota = new StreamQuota<PeerProcess>(
    options.maxStreamsPerProcess ?? MAX_STREAMS_PER_PROCESS,
  );
  const { source, tokens, audience, clock, log, register } = options;
  const updates = (
    method: string,
    encode: UpdateEncoder,
    allowNoIdentity: boolean,
    audience?: BundleAudience,
  ) => {
    const shared = {
      method,
      source,
      encode,
      allowNoIdentity,
      audience,
      quota,
      log,
      metrics,
      clock,
      register,
    };
    return (call: UpdateCall) => serveUpdates(call, shared);
  };
  const unary = (method: string, answer: (question: Question) => Promise<Buffer>) =>
    createUnaryHandler({ method, quota, log, metrics, clock, register }, answer);
  const allowVerifiers = options.allowUnauthenticatedVerifiers ?? false;
  const foreignClaims = new Set(options.allowedForeignJwtClaims);
  const validation = { tokens, clock, allowNoIdentity: allowVerifiers, foreignClaims };
  return {
    definition: withOwnCodec(loadService('workload.proto', 'SpiffeWorkloadAPI')),
    implementation: {
      FetchX509SVID: updates('FetchX509SVID', createX509SvidEncoder(), false, audience),
      FetchX509Bundles: updates(
        'FetchX509Bundles',
        createX509BundlesEncoder(),
        allowVerifiers,
        audience,
      ),
      FetchJWTSVID: unary('FetchJWTSVID', (question) => fetchJwtSvid(tokens, question)),
      FetchJWTBundles: updates('FetchJWTBundles', createJwtBundlesEncoder(), allowVerifiers),
      ValidateJWTSVID: unary('ValidateJWTSVID', (question) =>
        validateJwtSvid(validation, question),
      ),
      ...Object.fromEntries(NOT_SERVED.map((method) => [method, notServed(method, metrics)])),
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

function notServed(method: string, metrics: WorkloadMetrics) {
  return (call: UpdateCall): void => {
    refuse(call, notServedError(call, method), { method, metrics });
  };
}

function notServedError(call: UpdateCall, method: string): TrustplaneError {
  try {
    requireSecurityHeader(call.metadata);
  } catch (error) {
    if (error instanceof TrustplaneError) return error;
    throw error;
  }
  return new TrustplaneError('ERR_WORKLOAD_UNIMPLEMENTED', `${method} is not served`);
}
