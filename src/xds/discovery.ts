import type { ServerUnaryCall, ServiceDefinition, sendUnaryData } from '@grpc/grpc-js';
import type { Log, Metrics, Tracing } from '../ops/index.ts';
import {
  type Clock,
  printable,
  type StreamRegister,
  TrustplaneError,
  type WorkloadSource,
} from '../spiffe/index.ts';
import { type GrpcService, loadService, type PeerProcess, peerOf } from '../wire/index.ts';
import { loadDiscoveryMessages } from './discovery-messages.ts';
import type { CodeFamily } from './discovery-request.ts';
import {
  createResponseEncoder,
  type ResponseEncoder,
  type TypedResponse,
} from './discovery-response.ts';
import { type DiscoveryCall, DiscoveryStream, type StreamContext } from './discovery-stream.ts';
import { fetchResources } from './fetch-resources.ts';
import { LargeWrites } from './large-writes.ts';
import { NameQuota } from './name-quota.ts';
import { Pacer } from './pacer.ts';
import type { ResourceType } from './resource-type.ts';
import { deltaProtocol, sotwProtocol } from './stream-protocol.ts';

/** Who is served, and what is noted of it. */
export interface DiscoveryGround {
  readonly source: WorkloadSource<PeerProcess>;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Where streams are noted while they are open. Default: nowhere. */
  readonly register?: StreamRegister | undefined;
  /** Default: nothing is traced. */
  readonly tracing?: Pick<Tracing, 'follow'> | undefined;
}

/** An xDS service as the .proto file has it. */
export interface DiscoveryService {
  /** Relative to `proto/`. */
  readonly file: string;
  /** Fully qualified. */
  readonly name: string;
  /** In logs and metrics: `SDS`. */
  readonly label: string;
  readonly codes: CodeFamily;
  readonly methods: {
    readonly sotw: string;
    readonly delta: string;
    readonly fetch?: string | undefined;
  };
}

/** A service of that one type: a request of another type ends its stream. */
export function serveType(
  service: DiscoveryService,
  type: ResourceType,
  ground: DiscoveryGround,
): GrpcService {
  return serve(service, [type], ground, (typeUrl) => {
    // The service serves one type, so leaving it out says it too.
    if (typeUrl === '' || typeUrl === type.typeUrl) return type;
    const got = JSON.stringify(printable(typeUrl, 200));
    throw new TrustplaneError(
      `ERR_${service.codes}_TYPE_URL`,
      `this service has resources of type ${type.typeUrl}; got ${got}`,
    );
  });
}

const ads: DiscoveryService = {
  file: 'envoy/service/discovery/v3/ads.proto',
  name: 'envoy.service.discovery.v3.AggregatedDiscoveryService',
  label: 'ADS',
  codes: 'XDS',
  methods: { sotw: 'StreamAggregatedResources', delta: 'DeltaAggregatedResources' },
};

const MAX_UNKNOWN_LOGGED = 100;

/**
 * All of these types on one stream. Requests of other types are never answered, as go-control-plane
 * does it: one that waits for its listeners in vain still gets its secrets.
 */
export function createAds(types: readonly ResourceType[], ground: DiscoveryGround): GrpcService {
  const byUrl = new Map(types.map((type) => [type.typeUrl, type]));
  const unknown = new Set<string>();
  return serve(ads, types, ground, (typeUrl) => {
    if (typeUrl === '') {
      throw new TrustplaneError('ERR_XDS_TYPE_URL', 'an aggregated stream has to name a type_url');
    }
    const type = byUrl.get(typeUrl);
    const shown = printable(typeUrl, 200);
    if (type === undefined && !unknown.has(shown) && unknown.size < MAX_UNKNOWN_LOGGED) {
      unknown.add(shown);
      ground.log.warn({ typeUrl: shown }, 'an ADS stream asks for a type that is not served');
    }
    return type;
  });
}

function serve(
  { file, name, label, codes, methods }: DiscoveryService,
  types: readonly ResourceType[],
  { source, clock, log, metrics, register, tracing }: DiscoveryGround,
  typeOf: StreamContext['typeOf'],
): GrpcService {
  const messages = loadDiscoveryMessages();
  const sotw = sotwProtocol(messages, codes);
  const delta = deltaProtocol(messages, codes);
  const streams = metrics.gauge<'kind'>(
    `trustplane_${label.toLowerCase()}_streams`,
    `Open ${label} streams.`,
    ['kind'],
  );
  const context: StreamContext = {
    source,
    clock,
    log,
    label,
    codes,
    types,
    typeOf,
    streams: {
      opened: (kind) => streams.inc({ kind }),
      closed: (kind) => streams.dec({ kind }),
    },
    pacer: new Pacer(),
    nameQuota: new NameQuota(codes),
    largeWrites: new LargeWrites(),
    register,
    tracing,
  };
  const { fetch } = methods;
  return {
    definition: withOwnCodec(
      loadService(file, name),
      methods.delta,
      createResponseEncoder(messages),
    ),
    implementation: {
      [methods.sotw]: (call: DiscoveryCall) =>
        void new DiscoveryStream(call, peerOf(call), sotw, context),
      [methods.delta]: (call: DiscoveryCall) =>
        void new DiscoveryStream(call, peerOf(call), delta, context),
      ...(fetch !== undefined && {
        [fetch]: (
          call: ServerUnaryCall<Buffer, TypedResponse>,
          callback: sendUnaryData<TypedResponse>,
        ) => fetchResources(call, callback, peerOf(call), sotw.parse(call.request), context),
      }),
    },
  };
}

/** Requests are parsed by the stream, which can say what is wrong with one; resources are encoded already. */
function withOwnCodec(
  definition: ServiceDefinition,
  delta: string,
  encoder: ResponseEncoder,
): ServiceDefinition {
  return Object.fromEntries(
    Object.entries(definition).map(([name, method]) => [
      name,
      {
        ...method,
        requestDeserialize: (bytes: Buffer) => bytes,
        responseSerialize: name === delta ? encoder.delta : encoder.sotw,
      },
    ]),
  );
}
