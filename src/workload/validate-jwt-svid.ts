import {
  type Clock,
  type JsonValue,
  type JwtSvid,
  messageOf,
  type TokenSource,
  TrustplaneError,
  verifyJwtSvid,
  type WorkloadTrust,
} from '../spiffe/index.ts';
import { messageType, type PeerProcess } from '../wire/index.ts';
import { decodeRequest, requireText } from './decode-request.ts';
import { noIdentity } from './refusals.ts';
import type { Question } from './unary-call.ts';

/** As much as JWT-SVID §3.3 advises at most. */
const LEEWAY_MS = 60_000;
/** What a claim of another trust domain may mean here (RFC 7519 §4.1). */
const REGISTERED = new Set(['aud', 'exp', 'iat', 'iss', 'jti', 'nbf', 'sub']);

export interface ValidateOptions {
  readonly tokens: TokenSource<PeerProcess>;
  readonly clock: Clock;
  /** Serve callers that have no identity. */
  readonly allowNoIdentity: boolean;
  /** Of foreign trust domains, beside the registered ones. */
  readonly foreignClaims: ReadonlySet<string>;
}

/**
 * ValidateJWTSVID (Workload API §6.2.3): verifies a token for the caller, with the bundles that the caller
 * may have, the IDs accepted of their trust domains, and the revocations the agent knows. Of a foreign trust domain's token the registered claims are told, and those allowed.
 * @throws TrustplaneError ERR_WORKLOAD_REQUEST, ERR_WORKLOAD_TOKEN, ERR_WORKLOAD_NO_IDENTITY and what
 * the source rejects with
 */
export async function validateJwtSvid(
  { tokens, clock, allowNoIdentity, foreignClaims }: ValidateOptions,
  { process, request, signal }: Question,
): Promise<Buffer> {
  const fields = decodeRequest('ValidateJWTSVIDRequest', request);
  const audience = requireText(fields['audience'], 'audience');
  const token = requireText(fields['svid'], 'svid');
  const trust = await tokens.fetchTrust(process, signal);
  if (!trust.hasIdentity && !allowNoIdentity) throw noIdentity();
  const svid = verify(token, audience, trust, clock.now());
  const isOwn = svid.spiffeId.trustDomain.equals(trust.own.trustDomain);
  const isTold = (name: string): boolean =>
    isOwn || REGISTERED.has(name) || foreignClaims.has(name);
  const response = {
    spiffe_id: svid.spiffeId.toString(),
    claims: { fields: buildFields(claimsOf(svid).filter(([name]) => isTold(name))) },
  };
  const type = messageType('workload.proto', 'ValidateJWTSVIDResponse');
  return Buffer.from(type.encode(response).finish());
}

function verify(token: string, audience: string, trust: WorkloadTrust, now: number): JwtSvid {
  const bundleOf: Parameters<typeof verifyJwtSvid>[1]['bundleOf'] = (trustDomain) =>
    trustDomain.equals(trust.own.trustDomain) ? trust.own : trust.federated.get(trustDomain.name);
  let svid: JwtSvid;
  try {
    svid = verifyJwtSvid(token, { audience, bundleOf, now, leewayMs: LEEWAY_MS });
  } catch (error) {
    throw new TrustplaneError('ERR_WORKLOAD_TOKEN', messageOf(error), { cause: error });
  }
  const id = svid.spiffeId.toString();
  if (!trust.isAccepted(svid.spiffeId)) throw refused(`${id} is not among the IDs accepted`);
  if (trust.isRevoked(svid)) throw refused(`those of ${id} of its age are revoked`);
  return svid;
}

function refused(why: string): TrustplaneError {
  return new TrustplaneError('ERR_WORKLOAD_TOKEN', `the JWT-SVID is refused: ${why}`);
}

/** The audience is told as a list, also where one stood alone. */
function claimsOf({ claims, audience }: JwtSvid): [string, JsonValue][] {
  return [...claims].map(([name, value]) => [name, name === 'aud' ? audience : value]);
}

/** google.protobuf.Struct; numbers are doubles there. */
function buildFields(members: Iterable<[string, JsonValue]>): Record<string, object> {
  return Object.fromEntries(Array.from(members, ([name, value]) => [name, buildValue(value)]));
}

function buildValue(value: JsonValue): object {
  if (value === null) return { nullValue: 0 };
  if (typeof value === 'boolean') return { boolValue: value };
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'number' || typeof value === 'bigint') return { numberValue: Number(value) };
  if (value instanceof Map) return { structValue: { fields: buildFields(value) } };
  return { listValue: { values: Array.from(listOf(value), buildValue) } };
}

function listOf(value: JsonValue): readonly JsonValue[] {
  return Array.isArray(value) ? value : [];
}
