import { X509Certificate } from 'node:crypto';
import type { Type } from 'protobufjs';
import { evaluate, type Question, type Verdict } from '../differential/evaluate.ts';
import type { PolicyDocument } from '../differential/policy-document.ts';
import { loadEnvoyMessages } from '../oracles/envoy-messages.ts';

const AUTH = 'envoy.service.auth.v3';
const SUBJECT_ALT_NAME = Buffer.from('0603551d11', 'hex');
const MAX_LEAVES = 10_000;
/** Of what rules cannot ask for nothing is read: damage there is no matter. */
const unread: readonly (readonly [type: string, fields: readonly string[]])[] = [
  [`${AUTH}.AttributeContext`, ['route_metadata_context', 'tls_session']],
  [`${AUTH}.AttributeContext.Peer`, ['service', 'labels']],
  [`${AUTH}.AttributeContext.Request`, ['time']],
  [
    `${AUTH}.AttributeContext.HttpRequest`,
    ['id', 'scheme', 'query', 'fragment', 'size', 'protocol', 'body', 'raw_body'],
  ],
  ['envoy.config.core.v3.Metadata', ['typed_filter_metadata']],
  ['envoy.config.core.v3.Address', ['pipe', 'envoy_internal_address']],
  [
    'envoy.config.core.v3.SocketAddress',
    ['protocol', 'named_port', 'resolver_name', 'ipv4_compat', 'network_namespace_filepath'],
  ],
];

export interface CheckOracleOptions {
  readonly policies: readonly PolicyDocument[];
  /** Those whose SVIDs count; of others nothing may be allowed. */
  readonly callers: ReadonlySet<string>;
  /** False: `source.principal` names the caller. */
  readonly needsCertificate: boolean;
}

/** Says what is decided of a CheckRequest, by Envoy's own definitions and an evaluator that shares nothing with ours. */
export type CheckOracle = (bytes: Uint8Array) => Verdict['reason'];

export async function createCheckOracle(options: CheckOracleOptions): Promise<CheckOracle> {
  const { root } = await loadEnvoyMessages(['envoy/service/auth/v3/external_auth.proto']);
  for (const [name, fields] of unread) {
    const type = root.lookupType(name);
    for (const field of fields) {
      const found = type.fields[field];
      if (found !== undefined) type.remove(found);
    }
  }
  const request = root.lookupType(`${AUTH}.CheckRequest`);
  return (bytes) => {
    let read: Read;
    try {
      read = plain(request.decode(bytes));
    } catch {
      return 'bad_request';
    }
    return evaluate(options.policies, questionOf(read, options), () => false).reason;
  };
}

/** Without messages that are null: `toObject` takes offense at entries of maps that have no value. */
function plain(message: object): ReturnType<Type['toObject']> {
  const said = Object.entries(message).filter(([, value]) => value !== null);
  return Object.fromEntries(said.map(([name, value]) => [name, plainValue(value)]));
}

function plainValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plainValue);
  if (typeof value !== 'object' || value === null) return value;
  return value instanceof Uint8Array ? Buffer.from(value) : plain(value);
}

/** What protobufjs makes of a message; what is not there is undefined. */
interface Read {
  readonly attributes?: {
    readonly source?: PeerRead;
    readonly destination?: PeerRead;
    readonly request?: { readonly http?: HttpRead };
    readonly context_extensions?: Readonly<Record<string, string>>;
    readonly metadata_context?: {
      readonly filter_metadata?: Readonly<Record<string, StructRead>>;
    };
  };
}

interface PeerRead {
  readonly principal?: string;
  readonly certificate?: string;
  readonly address?: {
    readonly socket_address?: { readonly address?: string; readonly port_value?: number };
  };
}

interface HttpRead {
  readonly method?: string;
  readonly path?: string;
  readonly host?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly header_map?: {
    readonly headers?: readonly {
      readonly key?: string;
      readonly value?: string;
      readonly raw_value?: Buffer;
    }[];
  };
}

interface StructRead {
  readonly fields?: Readonly<Record<string, ValueRead>>;
}

interface ValueRead {
  readonly stringValue?: string;
  readonly structValue?: StructRead;
}

function questionOf({ attributes = {} }: Read, options: CheckOracleOptions): Question {
  const { source = {}, destination = {}, request, context_extensions: extensions } = attributes;
  const place = destination.address?.socket_address;
  const http = request?.http;
  const extension = extensions?.['trustplane.policy'];
  const payload =
    attributes.metadata_context?.filter_metadata?.['envoy.filters.http.jwt_authn']?.fields?.[
      'jwt_payload'
    ];
  return {
    service: {
      ...(destination.principal && { id: destination.principal }),
      ...(extension !== undefined && { extension }),
    },
    caller: callerOf(source, options),
    ...(http && { http: { ...requestOf(http), lines: linesOf(http) } }),
    sourceIp: source.address?.socket_address?.address ?? '',
    destinationIp: place?.address ?? '',
    port: place?.port_value ?? 0,
    ...(payload?.structValue && { claims: claimsOf(payload.structValue) }),
    now: Date.now(),
  };
}

function requestOf({ method = '', path = '', host = '' }: HttpRead) {
  return { method, target: path, host };
}

function callerOf(
  { principal = '', certificate = '' }: PeerRead,
  { callers, needsCertificate }: CheckOracleOptions,
): Question['caller'] {
  if (certificate === '') {
    if (principal === '') return 'nobody';
    return !needsCertificate && callers.has(principal) ? { id: principal } : 'bad_svid';
  }
  const id = leafId(certificate);
  return id !== undefined && callers.has(id) ? { id } : 'bad_svid';
}

const leafIds = new Map<string, string | undefined>();

/** The only URI SAN of what is no CA and in force; of what OpenSSL cannot read whole, what its bytes say. */
function leafId(certificate: string): string | undefined {
  if (leafIds.has(certificate)) return leafIds.get(certificate);
  if (leafIds.size > MAX_LEAVES) leafIds.clear();
  const id = readLeaf(certificate);
  leafIds.set(certificate, id);
  return id;
}

function readLeaf(certificate: string): string | undefined {
  let pem: string;
  try {
    pem = decodeURIComponent(certificate);
  } catch {
    return undefined;
  }
  try {
    const leaf = new X509Certificate(pem);
    const now = Date.now();
    const isInForce = Date.parse(leaf.validFrom) <= now && now < Date.parse(leaf.validTo);
    return isInForce && !leaf.ca ? leaf.subjectAltName?.replace(/^URI:/u, '') : undefined;
  } catch {
    return uriIn(Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/gu, ''), 'base64'));
  }
}

/**
 * The proxy has verified the certificate, so we look at no more of it than we need; OpenSSL refuses others
 * for what they say of the issuer. The extension: its OID, an octet string, a sequence, one URI in it.
 */
function uriIn(der: Buffer): string | undefined {
  const at = der.indexOf(SUBJECT_ALT_NAME);
  if (at === -1 || der.indexOf(SUBJECT_ALT_NAME, at + 1) !== -1) return undefined;
  const names = der.subarray(der.indexOf(0x30, at + SUBJECT_ALT_NAME.length));
  const [, length = 0, tag, uriLength = 0] = names;
  return tag === 0x86 && length === uriLength + 2
    ? names.subarray(4, 4 + uriLength).toString('latin1')
    : undefined;
}

/** Of lines that may have been joined each part is one too. */
function linesOf({ headers = {}, header_map: map }: HttpRead): [string, string][] {
  if (map !== undefined)
    return (map.headers ?? []).map(({ key = '', value, raw_value: raw }) => [
      key.toLowerCase(),
      raw?.toString() ?? value ?? '',
    ]);
  return Object.entries(headers).flatMap(([name, value]) => {
    const parts = value.includes(',') ? value.split(',').map((part) => part.trim()) : [];
    return [value, ...parts].map((one): [string, string] => [name.toLowerCase(), one]);
  });
}

/** Only texts matter. */
function claimsOf({ fields = {} }: StructRead): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, value.stringValue]));
}
