import type {
  ServerDuplexStream,
  ServerUnaryCall,
  ServiceDefinition,
  sendUnaryData,
} from '@grpc/grpc-js';
import type { Log, Metrics } from '../ops/index.ts';
import type { Clock, WorkloadSource } from '../spiffe/index.ts';
import { type GrpcService, loadService, type PeerProcess, peerOf } from '../wire/index.ts';
import type { BundleAudience } from './context-holder.ts';
import { receiveDelta } from './delta-stream.ts';
import {
  type DeltaRequest,
  parseDeltaRequest,
  parseSotwRequest,
  type SotwRequest,
} from './discovery-request.ts';
import { createResponseEncoder, type ResponseEncoder } from './discovery-response.ts';
import { fetchSecrets } from './fetch-secrets.ts';
import { createNackLog } from './nack-log.ts';
import { NameQuota } from './name-quota.ts';
import { checkSdsNames, type SdsNames } from './names.ts';
import { Pacer } from './pacer.ts';
import { respond, type SecretResponse } from './respond.ts';
import { loadSdsMessages } from './sds-messages.ts';
import { createSdsMetrics } from './sds-metrics.ts';
import { type SdsContext, SdsStream, type StreamProtocol } from './sds-stream.ts';
import { createSecretEncoder } from './secret.ts';
import { createSecretViews } from './secret-view.ts';
import { receiveSotw, respondSotw } from './sotw-stream.ts';

export interface SdsOptions {
  readonly source: WorkloadSource<PeerProcess>;
  readonly names: SdsNames;
  /** Serve plain validation contexts to clients whose node metadata does not say which they want. */
  readonly disableSpiffeCertValidation: boolean;
  /**
   * DER of a CA certificate whose key signed nothing and is gone: what a client is told to trust for a
   * trust domain that has no authorities.
   */
  readonly unmatchableCa: Uint8Array;
  /** Told which clients have the own bundle; default: nobody. */
  readonly audience?: BundleAudience | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

const MAX_OMITTED_LOGGED = 10;

/**
 * Envoy's Secret Discovery Service for attested local processes.
 * @throws TrustplaneError ERR_SDS_NAMES
 */
export function createSds(options: SdsOptions): GrpcService {
  checkSdsNames(options.names);
  const messages = loadSdsMessages();
  let last = '';
  const onOmitted = (resourceName: string, trustDomains: readonly string[]): void => {
    const what = `${resourceName} ${trustDomains.join()}`;
    if (what === last) return;
    last = what;
    const omitted = trustDomains.slice(0, MAX_OMITTED_LOGGED);
    const fields = { resourceName, count: trustDomains.length, omitted };
    options.log.error(fields, 'a validation context has no room for all trust domains');
  };
  const encoder = createSecretEncoder(messages, options.unmatchableCa, onOmitted);
  const context = createContext(options, encoder);
  const sotw: StreamProtocol<SotwRequest> = {
    kind: 'sotw',
    parse: (bytes) => parseSotwRequest(messages.sotwRequest, bytes),
    receive: receiveSotw,
    respond: respondSotw,
  };
  const delta: StreamProtocol<DeltaRequest> = {
    kind: 'delta',
    parse: (bytes) => parseDeltaRequest(messages.deltaRequest, bytes),
    receive: receiveDelta,
    respond,
  };
  return {
    definition: withOwnCodec(createResponseEncoder(messages)),
    implementation: {
      StreamSecrets: (call: Call) => void new SdsStream(call, peerOf(call), sotw, context),
      DeltaSecrets: (call: Call) => void new SdsStream(call, peerOf(call), delta, context),
      FetchSecrets: (
        call: ServerUnaryCall<Buffer, SecretResponse>,
        callback: sendUnaryData<SecretResponse>,
      ) => fetchSecrets(call, callback, peerOf(call), sotw.parse(call.request), context),
    },
  };
}

type Call = ServerDuplexStream<Buffer, SecretResponse>;

function createContext(
  options: SdsOptions,
  encoder: ReturnType<typeof createSecretEncoder>,
): SdsContext {
  const { source, clock, log, names } = options;
  return {
    source,
    clock,
    log,
    viewOf: createSecretViews(encoder, names),
    modeFor: (node) =>
      (node?.disableSpiffeCertValidation ?? options.disableSpiffeCertValidation)
        ? 'plain'
        : 'spiffe',
    notePlain: once(() =>
      log.warn(
        {},
        'SDS serves plain validation contexts: their SAN prefix joins SAN lists in Envoy',
      ),
    ),
    nacks: createNackLog(log),
    metrics: createSdsMetrics(options.metrics),
    pacer: new Pacer(),
    nameQuota: new NameQuota(),
    audience: options.audience,
  };
}

function once(act: () => void): () => void {
  let isDone = false;
  return () => {
    if (!isDone) act();
    isDone = true;
  };
}

/** Requests are parsed by the stream, which can say what is wrong with one; secrets are encoded already. */
function withOwnCodec(encoder: ResponseEncoder): ServiceDefinition {
  const definition = loadService(
    'envoy/service/secret/v3/sds.proto',
    'envoy.service.secret.v3.SecretDiscoveryService',
  );
  return Object.fromEntries(
    Object.entries(definition).map(([name, method]) => [
      name,
      {
        ...method,
        requestDeserialize: (bytes: Buffer) => bytes,
        responseSerialize: name === 'DeltaSecrets' ? encoder.delta : encoder.sotw,
      },
    ]),
  );
}
