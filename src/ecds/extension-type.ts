import type { Log, Metrics } from '../ops/index.ts';
import type { GrpcService } from '../wire/index.ts';
import {
  createNackLog,
  createTypeMetrics,
  type DiscoveryGround,
  type DiscoveryService,
  type ResourceType,
  serveType,
} from '../xds/index.ts';
import { createExtensionEncoder, EXTENSION_TYPE_URL } from './extension-encoder.ts';
import { type ExtensionGround, ExtensionSession } from './extension-session.ts';
import type { ExtensionSource } from './extension-source.ts';
import { RefusalLog } from './refusal-log.ts';
import { extensionKinds } from './resource-name.ts';

export interface ExtensionOptions {
  readonly extensions: ExtensionSource;
  readonly log: Log;
  readonly metrics: Metrics;
}

const service: DiscoveryService = {
  file: 'envoy/service/extension/v3/config_discovery.proto',
  name: 'envoy.service.extension.v3.ExtensionConfigDiscoveryService',
  label: 'ECDS',
  codes: 'XDS',
  methods: {
    sotw: 'StreamExtensionConfigs',
    delta: 'DeltaExtensionConfigs',
    fetch: 'FetchExtensionConfigs',
  },
};

/** Envoy's Extension Configuration Discovery Service for attested local processes. */
export function createEcds(extensions: ResourceType, ground: DiscoveryGround): GrpcService {
  return serveType(service, extensions, ground);
}

/** The extension configurations that attested local Envoys are to run. */
export function createExtensionType({ extensions, log, metrics }: ExtensionOptions): ResourceType {
  const one = 'an extension configuration';
  const many = 'extension configurations';
  const heartbeats = metrics.counter(
    'trustplane_ecds_heartbeats_total',
    'Heartbeats of extension configurations that have a TTL.',
  );
  const removed = metrics.counter(
    'trustplane_ecds_removals_total',
    'Extension configurations that delta clients were told do not exist.',
  );
  const ground: ExtensionGround = {
    extensions,
    encode: createExtensionEncoder(),
    refusals: new RefusalLog(log),
    countSent(response) {
      heartbeats.inc(response.heartbeats.length);
      removed.inc(response.removed.length);
    },
  };
  return {
    typeUrl: EXTENSION_TYPE_URL,
    metrics: createTypeMetrics(metrics, {
      prefix: 'ecds',
      label: 'ECDS',
      one,
      many,
      kinds: extensionKinds,
    }),
    nacks: createNackLog(log, one),
    open: (client) => new ExtensionSession(client, ground),
  };
}
