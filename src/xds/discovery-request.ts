import type { Type } from 'protobufjs';
import { printable, TrustplaneError } from '../spiffe/index.ts';
import { strictBytes } from '../wire/index.ts';

/** What one client may ask of one stream. */
export const xdsLimits = {
  maxRequestBytes: 262_144,
  /** On one stream at one time. */
  maxNames: 1000,
  /** As long as a SPIFFE ID may be. */
  maxNameBytes: 2048,
  /** All names and versions on one stream. */
  maxNameBytesPerStream: 131_072,
  /** Those on all streams of one user. */
  maxNameBytesPerUser: 16_777_216,
  maxRequestsPerSecond: 100,
} as const;

/** Whose error codes the clients of a service are told. */
export type CodeFamily = 'SDS' | 'XDS';

/** What a client says of itself, as far as it matters. */
export interface ClientNode {
  /** For logs only: at most 64 characters, printable. */
  readonly id: string;
  /** Of an Envoy; undefined: it does not say, or is none. */
  readonly version: readonly [major: number, minor: number] | undefined;
  /** A value of its metadata; undefined: there is none of that name. */
  readonly metadata: (name: string) => NodeValue | undefined;
}

/** A google.protobuf.Value, with the names protobufjs gives its fields. */
export interface NodeValue {
  readonly boolValue?: boolean;
  readonly stringValue?: string;
}

export interface DiscoveryRequest {
  /** Empty where the client leaves it to the service. */
  readonly typeUrl: string;
  readonly nonce: string;
  /** Why the client refused that response; undefined when it took it. */
  readonly refusal: string | undefined;
  /** On the first request of a stream only. */
  readonly node: ClientNode | undefined;
}

export interface SotwRequest extends DiscoveryRequest {
  readonly names: readonly string[];
  readonly versionInfo: string;
}

export interface DeltaRequest extends DiscoveryRequest {
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  /** Name → version. */
  readonly initialVersions: ReadonlyMap<string, string>;
}

/** @throws TrustplaneError ERR_SDS_REQUEST or ERR_XDS_REQUEST, ERR_SDS_LIMIT or ERR_XDS_LIMIT */
export function parseSotwRequest(type: Type, bytes: Uint8Array, codes: CodeFamily): SotwRequest {
  const message: SotwFields = decode(type, bytes, codes);
  const names = message.resource_names ?? [];
  checkNames(names, codes);
  return { ...parseCommon(message), names, versionInfo: message.version_info ?? '' };
}

/** @throws TrustplaneError ERR_SDS_REQUEST or ERR_XDS_REQUEST, ERR_SDS_LIMIT or ERR_XDS_LIMIT */
export function parseDeltaRequest(type: Type, bytes: Uint8Array, codes: CodeFamily): DeltaRequest {
  const message: DeltaFields = decode(type, bytes, codes);
  const subscribe = message.resource_names_subscribe ?? [];
  const unsubscribe = message.resource_names_unsubscribe ?? [];
  const initial = Object.entries(message.initial_resource_versions ?? {});
  checkNames([...subscribe, ...initial.map(([name]) => name)], codes);
  return {
    ...parseCommon(message),
    subscribe,
    unsubscribe,
    initialVersions: new Map(initial),
  };
}

/** @throws TrustplaneError ERR_SDS_LIMIT or ERR_XDS_LIMIT */
export function checkNameCount(count: number, codes: CodeFamily): void {
  if (count <= xdsLimits.maxNames) return;
  throw new TrustplaneError(
    `ERR_${codes}_LIMIT`,
    `${count} resource names were asked for; at most ${xdsLimits.maxNames} are allowed on one stream`,
  );
}

interface CommonFields {
  readonly type_url?: string;
  readonly response_nonce?: string;
  readonly error_detail?: { readonly message?: string };
  readonly node?: NodeFields;
}

interface SotwFields extends CommonFields {
  readonly version_info?: string;
  readonly resource_names?: readonly string[];
}

interface DeltaFields extends CommonFields {
  readonly resource_names_subscribe?: readonly string[];
  readonly resource_names_unsubscribe?: readonly string[];
  readonly initial_resource_versions?: Readonly<Record<string, string>>;
}

interface NodeFields {
  readonly id?: string;
  readonly user_agent_name?: string;
  readonly user_agent_build_version?: {
    readonly version?: { readonly major_number?: number; readonly minor_number?: number };
  };
  readonly metadata?: { readonly fields?: Readonly<Record<string, NodeValue>> };
}

function decode(type: Type, bytes: Uint8Array, codes: CodeFamily): object {
  if (bytes.length > xdsLimits.maxRequestBytes) {
    throw new TrustplaneError(
      `ERR_${codes}_LIMIT`,
      `the request has ${bytes.length} bytes; at most ${xdsLimits.maxRequestBytes} are allowed`,
    );
  }
  try {
    return type.toObject(type.decode(strictBytes(bytes)));
  } catch (error) {
    throw new TrustplaneError(`ERR_${codes}_REQUEST`, `the request is not a valid ${type.name}`, {
      cause: error,
    });
  }
}

function parseCommon(message: CommonFields): DiscoveryRequest {
  return {
    typeUrl: message.type_url ?? '',
    nonce: message.response_nonce ?? '',
    refusal: message.error_detail && (message.error_detail.message ?? ''),
    node: message.node && parseNode(message.node),
  };
}

function checkNames(names: readonly string[], codes: CodeFamily): void {
  checkNameCount(names.length, codes);
  const long = names.find((name) => Buffer.byteLength(name) > xdsLimits.maxNameBytes);
  if (long === undefined) return;
  throw new TrustplaneError(
    `ERR_${codes}_LIMIT`,
    `a resource name has ${Buffer.byteLength(long)} bytes; at most ${xdsLimits.maxNameBytes} are allowed`,
  );
}

function parseNode(node: NodeFields): ClientNode {
  const version = node.user_agent_build_version?.version;
  const isKnown = node.user_agent_name === 'envoy' && version !== undefined;
  return {
    id: printable(node.id ?? '', 64),
    version: isKnown ? [version.major_number ?? 0, version.minor_number ?? 0] : undefined,
    metadata: (name) => node.metadata?.fields?.[name],
  };
}
