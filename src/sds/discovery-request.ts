import type { Type } from 'protobufjs';
import { TrustplaneError } from '../spiffe/index.ts';
import { strictBytes } from '../wire/index.ts';
import { SECRET_TYPE_URL } from './sds-messages.ts';

/** What one client may ask of one stream. */
export const sdsLimits = {
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

/** What a client says of itself, as far as it matters. Retained per stream, so as little as can be. */
export interface ClientNode {
  /** For logs only: at most 64 characters, printable. */
  readonly id: string;
  /** Whether it asks for plain validation contexts; undefined leaves it to the configuration. */
  readonly disableSpiffeCertValidation: boolean | undefined;
}

interface DiscoveryRequest {
  readonly nonce: string;
  /** Why the client refused that response; undefined when it took it. */
  readonly refusal: string | undefined;
  /** On the first request only. */
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

/** @throws TrustplaneError ERR_SDS_REQUEST, ERR_SDS_TYPE_URL, ERR_SDS_NODE, ERR_SDS_LIMIT */
export function parseSotwRequest(type: Type, bytes: Uint8Array): SotwRequest {
  const message: SotwFields = decode(type, bytes);
  const names = message.resource_names ?? [];
  checkNames(names);
  return { ...parseCommon(message), names, versionInfo: message.version_info ?? '' };
}

/** @throws TrustplaneError ERR_SDS_REQUEST, ERR_SDS_TYPE_URL, ERR_SDS_NODE, ERR_SDS_LIMIT */
export function parseDeltaRequest(type: Type, bytes: Uint8Array): DeltaRequest {
  const message: DeltaFields = decode(type, bytes);
  const subscribe = message.resource_names_subscribe ?? [];
  const unsubscribe = message.resource_names_unsubscribe ?? [];
  const initial = Object.entries(message.initial_resource_versions ?? {});
  checkNames([...subscribe, ...initial.map(([name]) => name)]);
  return {
    ...parseCommon(message),
    subscribe,
    unsubscribe,
    initialVersions: new Map(initial),
  };
}

/** @throws TrustplaneError ERR_SDS_LIMIT */
export function checkNameCount(count: number): void {
  if (count <= sdsLimits.maxNames) return;
  throw new TrustplaneError(
    'ERR_SDS_LIMIT',
    `${count} resource names were asked for; at most ${sdsLimits.maxNames} are allowed on one stream`,
  );
}

/** Client text for a log line: bounded, with control characters escaped. */
export function printable(text: string, maxChars: number): string {
  const cut = text.length > maxChars ? `${text.slice(0, maxChars)}…` : text;
  return cut.replaceAll(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`,
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
  readonly metadata?: { readonly fields?: Readonly<Record<string, ValueFields>> };
}

/** A google.protobuf.Value, with the names protobufjs gives its fields. */
interface ValueFields {
  readonly boolValue?: boolean;
  readonly stringValue?: string;
}

function decode(type: Type, bytes: Uint8Array): object {
  if (bytes.length > sdsLimits.maxRequestBytes) {
    throw new TrustplaneError(
      'ERR_SDS_LIMIT',
      `the request has ${bytes.length} bytes; at most ${sdsLimits.maxRequestBytes} are allowed`,
    );
  }
  try {
    return type.toObject(type.decode(strictBytes(bytes)));
  } catch (error) {
    throw new TrustplaneError('ERR_SDS_REQUEST', `the request is not a valid ${type.name}`, {
      cause: error,
    });
  }
}

function parseCommon(message: CommonFields): DiscoveryRequest {
  const typeUrl = message.type_url ?? '';
  // The service serves one type, so leaving it out says it too.
  if (typeUrl !== '' && typeUrl !== SECRET_TYPE_URL) {
    throw new TrustplaneError(
      'ERR_SDS_TYPE_URL',
      `this service has resources of type ${SECRET_TYPE_URL}; got ${JSON.stringify(printable(typeUrl, 200))}`,
    );
  }
  return {
    nonce: message.response_nonce ?? '',
    refusal: message.error_detail && (message.error_detail.message ?? ''),
    node: message.node && parseNode(message.node),
  };
}

function checkNames(names: readonly string[]): void {
  checkNameCount(names.length);
  const long = names.find((name) => Buffer.byteLength(name) > sdsLimits.maxNameBytes);
  if (long === undefined) return;
  throw new TrustplaneError(
    'ERR_SDS_LIMIT',
    `a resource name has ${Buffer.byteLength(long)} bytes; at most ${sdsLimits.maxNameBytes} are allowed`,
  );
}

const SWITCH = 'disable_spiffe_cert_validation';
const TEXTS: ReadonlyMap<string, boolean> = new Map([
  ...['1', 't', 'T', 'true', 'TRUE', 'True'].map((text) => [text, true] as const),
  ...['0', 'f', 'F', 'false', 'FALSE', 'False'].map((text) => [text, false] as const),
]);

function parseNode(node: NodeFields): ClientNode {
  return {
    id: printable(node.id ?? '', 64),
    disableSpiffeCertValidation:
      parseSwitch(node.metadata?.fields?.[SWITCH]) ?? (lacksSpiffeValidator(node) || undefined),
  };
}

function parseSwitch(value: ValueFields | undefined): boolean | undefined {
  if (value === undefined) return undefined;
  const parsed = value.boolValue ?? TEXTS.get(value.stringValue ?? '');
  if (parsed !== undefined) return parsed;
  throw new TrustplaneError(
    'ERR_SDS_NODE',
    `the node metadata ${SWITCH} must be true or false, as a bool or a string; got ${JSON.stringify(printable(value.stringValue ?? 'another kind of value', 80))}`,
  );
}

/** Envoy has the SPIFFE validator since 1.18. */
function lacksSpiffeValidator(node: NodeFields): boolean {
  const version = node.user_agent_build_version?.version;
  if (node.user_agent_name !== 'envoy' || version === undefined) return false;
  return version.major_number === 1 && (version.minor_number ?? 0) < 18;
}
