import type { Type } from 'protobufjs';
import { loadSecretMessages } from '../../src/sds/secret-messages.ts';
import { loadDiscoveryMessages } from '../../src/xds/index.ts';
import { DiscoveryClient } from './discovery-client.ts';
import type { TestStream } from './test-stream.ts';

const SERVICE = '/envoy.service.secret.v3.SecretDiscoveryService';
const messages = { ...loadSecretMessages(), ...loadDiscoveryMessages() };

/** A secret as a client reads it. */
export interface ReceivedSecret {
  readonly name: string;
  readonly kind: 'tls_certificate' | 'validation_context';
  /** Of the resource in delta, of the response otherwise. */
  readonly version: string;
  readonly text: string;
}

export interface ReceivedResponse {
  readonly nonce: string;
  readonly version: string;
  readonly typeUrl: string;
  readonly secrets: readonly ReceivedSecret[];
  readonly removed: readonly string[];
}

export type SdsTestStream = TestStream<ReceivedResponse>;

/** A client of the Secret Discovery Service on a Unix socket, with a connection of its own. */
export class SdsClient {
  readonly #client: DiscoveryClient;

  constructor(path: string) {
    this.#client = new DiscoveryClient(path);
  }

  sotw(): SdsTestStream {
    return this.#client.open(`${SERVICE}/StreamSecrets`, messages.sotwRequest, readSotw);
  }

  delta(): SdsTestStream {
    return this.#client.open(`${SERVICE}/DeltaSecrets`, messages.deltaRequest, readDelta);
  }

  fetch(request: object): Promise<ReceivedResponse> {
    const method = `${SERVICE}/FetchSecrets`;
    return this.#client.fetch(method, messages.sotwRequest, request, readSotw);
  }

  close(): void {
    this.#client.close();
  }
}

function readSotw(bytes: Buffer): ReceivedResponse {
  const message = toObject(messages.sotwResponse, bytes);
  return {
    nonce: message.nonce,
    version: message.version_info,
    typeUrl: message.type_url,
    secrets: message.resources.map((any: { value: Buffer }) =>
      readSecret(any.value, message.version_info),
    ),
    removed: [],
  };
}

function readDelta(bytes: Buffer): ReceivedResponse {
  const message = toObject(messages.deltaResponse, bytes);
  return {
    nonce: message.nonce,
    version: message.system_version_info,
    typeUrl: message.type_url,
    secrets: message.resources.map((resource: { version: string; resource: { value: Buffer } }) =>
      readSecret(resource.resource.value, resource.version),
    ),
    removed: message.removed_resources,
  };
}

/** `text` is what the secret's PEM holds, decoded, with the markers left out. */
function readSecret(bytes: Buffer, version: string): ReceivedSecret {
  const {
    name,
    tls_certificate: certificate,
    validation_context: context,
  } = toObject(messages.secret, bytes);
  if (certificate) {
    const { certificate_chain: chain, private_key: key } = certificate;
    const text = `${readPem(chain.inline_bytes)}, ${readPem(key.inline_bytes)}`;
    return { name, kind: 'tls_certificate', version, text };
  }
  const text = readContext(context);
  return { name, kind: 'validation_context', version, text };
}

// oxlint-disable-next-line typescript/no-explicit-any -- what protobufjs decodes by a schema
function readContext(context: any): string {
  if (!context.custom_validator_config) {
    const [{ matcher }] = context.match_typed_subject_alt_names;
    return `${matcher.prefix}: ${readPem(context.trusted_ca.inline_bytes)}`;
  }
  const config = toObject(
    messages.spiffeValidator,
    context.custom_validator_config.typed_config.value,
  );
  return config.trust_domains
    .map(
      (one: { name: string; trust_bundle: { inline_bytes: Buffer } }) =>
        `${one.name}: ${readPem(one.trust_bundle.inline_bytes)}`,
    )
    .join('; ');
}

function readPem(bytes: Buffer): string {
  return [...bytes.toString().matchAll(/-----BEGIN [A-Z ]+-----\n([^-]*)\n-----END/gu)]
    .map(([, base64 = '']) => Buffer.from(base64, 'base64').toString())
    .join(' + ');
}

function toObject(type: Type, bytes: Uint8Array) {
  return type.toObject(type.decode(bytes), { bytes: Buffer, defaults: true });
}
