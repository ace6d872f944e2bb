import type { Type } from 'protobufjs';
import { messageType } from '../../src/wire/index.ts';
import { loadDiscoveryMessages } from '../../src/xds/index.ts';
import { DiscoveryClient } from './discovery-client.ts';
import type { TestStream } from './test-stream.ts';

const ECDS = '/envoy.service.extension.v3.ExtensionConfigDiscoveryService';
const ADS = '/envoy.service.discovery.v3.AggregatedDiscoveryService';
const messages = loadDiscoveryMessages();

/** A resource as a client reads it. */
export interface ReceivedResource {
  readonly name: string;
  /** Of the resource in delta, of the response otherwise. */
  readonly version: string;
  /** What it configures the extension with; undefined: a heartbeat. */
  readonly body: string | undefined;
  readonly ttlMs: number | undefined;
}

export interface ReceivedResources {
  readonly nonce: string;
  readonly typeUrl: string;
  readonly resources: readonly ReceivedResource[];
  readonly removed: readonly string[];
}

/** A client of extension discovery and of aggregated discovery on a Unix socket. */
export class EcdsClient {
  readonly #client: DiscoveryClient;

  constructor(path: string) {
    // Envoy has no limit.
    this.#client = new DiscoveryClient(path, { 'grpc.max_receive_message_length': -1 });
  }

  sotw(): TestStream<ReceivedResources> {
    return this.#client.open(`${ECDS}/StreamExtensionConfigs`, messages.sotwRequest, readSotw);
  }

  delta(): TestStream<ReceivedResources> {
    return this.#client.open(`${ECDS}/DeltaExtensionConfigs`, messages.deltaRequest, readDelta);
  }

  adsSotw(): TestStream<ReceivedResources> {
    return this.#client.open(`${ADS}/StreamAggregatedResources`, messages.sotwRequest, readSotw);
  }

  adsDelta(): TestStream<ReceivedResources> {
    return this.#client.open(`${ADS}/DeltaAggregatedResources`, messages.deltaRequest, readDelta);
  }

  fetch(request: object): Promise<ReceivedResources> {
    const method = `${ECDS}/FetchExtensionConfigs`;
    return this.#client.fetch(method, messages.sotwRequest, request, readSotw);
  }

  close(): void {
    this.#client.close();
  }
}

function readSotw(bytes: Buffer): ReceivedResources {
  const message = toObject(messages.sotwResponse, bytes);
  const wrapper = 'type.googleapis.com/envoy.service.discovery.v3.Resource';
  return {
    nonce: message.nonce,
    typeUrl: message.type_url,
    resources: message.resources.map((any: { type_url: string; value: Buffer }) => {
      const version = message.version_info;
      if (any.type_url !== wrapper) return readBare(version, any.value);
      return { ...readNamed(toObject(messages.resource, any.value)), version };
    }),
    removed: [],
  };
}

function readDelta(bytes: Buffer): ReceivedResources {
  const message = toObject(messages.deltaResponse, bytes);
  return {
    nonce: message.nonce,
    typeUrl: message.type_url,
    resources: message.resources.map(readNamed),
    removed: message.removed_resources,
  };
}

/** Every message that is served has its name in its first field, as a TypedExtensionConfig has. */
function readBare(version: string, value: Buffer): ReceivedResource {
  const { name } = toObject(extension, value);
  return { name, version, body: readBody(value), ttlMs: undefined };
}

const extension = messageType(
  'envoy/config/core/v3/extension.proto',
  'envoy.config.core.v3.TypedExtensionConfig',
);

// oxlint-disable-next-line typescript/no-explicit-any -- what protobufjs decodes by a schema
function readNamed({ name, version, resource, ttl }: any): ReceivedResource {
  const ttlMs = ttl && Number(ttl.seconds) * 1000 + ttl.nanos / 1e6;
  return { name, version, body: resource && readBody(resource.value), ttlMs: ttlMs ?? undefined };
}

function readBody(value: Buffer): string {
  return toObject(extension, value).typed_config.value.toString();
}

function toObject(type: Type, bytes: Uint8Array) {
  return type.toObject(type.decode(bytes), { bytes: Buffer, longs: Number, defaults: true });
}
