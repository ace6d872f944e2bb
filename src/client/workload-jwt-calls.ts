import { type Client, Metadata, type ServiceError } from '@grpc/grpc-js';
import {
  type JwtSvid,
  messageOf,
  parseJwtSvid,
  type SpiffeId,
  TrustplaneError,
} from '../spiffe/index.ts';
import { loadService } from '../wire/index.ts';
import { remoteError } from './remote-error.ts';

/** One JWT-SVID of the caller. */
export interface FetchedJwt {
  readonly svid: JwtSvid;
  /** JWS compact serialization. */
  readonly token: string;
  /** Empty for none. */
  readonly hint: string;
}

/** What the Workload API says of a valid token. */
export interface ValidatedJwt {
  readonly spiffeId: string;
  /** As JSON has them. */
  readonly claims: Readonly<Record<string, unknown>>;
}

/** Calls a unary method of a Workload API at `address`. */
export interface WorkloadCall {
  readonly client: Client;
  readonly address: string;
  readonly timeoutMs: number;
}

interface WireSvids {
  readonly svids?: readonly {
    readonly spiffe_id?: string;
    readonly svid?: string;
    readonly hint?: string;
  }[];
}

interface WireValue {
  readonly nullValue?: unknown;
  readonly boolValue?: boolean;
  readonly numberValue?: number;
  readonly stringValue?: string;
  readonly structValue?: WireStruct;
  readonly listValue?: { readonly values?: readonly WireValue[] };
}

interface WireStruct {
  readonly fields?: Readonly<Record<string, WireValue>>;
}

/** FetchJWTSVID; tokens are read, and left to those they are meant for to verify. @throws TrustplaneError */
export async function fetchJwt(
  call: WorkloadCall,
  audience: readonly string[],
  spiffeId: SpiffeId | undefined,
): Promise<readonly FetchedJwt[]> {
  const request = { audience, spiffe_id: spiffeId?.toString() ?? '' };
  const { svids = [] } = await unary<WireSvids>(call, 'FetchJWTSVID', request);
  if (svids.length === 0) throw invalid('it has no SVID');
  return svids.map(({ spiffe_id = '', svid: token = '', hint = '' }) => {
    const svid = parse(token);
    if (svid.spiffeId.toString() === spiffe_id) return { svid, token, hint };
    throw invalid(`the SVID of ${spiffe_id} names ${svid.spiffeId.toString()}`);
  });
}

/** ValidateJWTSVID. @throws TrustplaneError */
export async function validateJwt(
  call: WorkloadCall,
  audience: string,
  token: string,
): Promise<ValidatedJwt> {
  const answer = await unary<{ spiffe_id?: string; claims?: WireStruct | null }>(
    call,
    'ValidateJWTSVID',
    { audience, svid: token },
  );
  return { spiffeId: answer.spiffe_id ?? '', claims: membersOf(answer.claims ?? {}) };
}

function parse(token: string): JwtSvid {
  try {
    return parseJwtSvid(token);
  } catch (error) {
    throw invalid(messageOf(error));
  }
}

function membersOf({ fields = {} }: WireStruct): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, valueOf(value)]));
}

function valueOf(value: WireValue): unknown {
  if (value.structValue !== undefined) return membersOf(value.structValue);
  if (value.listValue !== undefined) return (value.listValue.values ?? []).map(valueOf);
  return value.stringValue ?? value.numberValue ?? value.boolValue ?? null;
}

function unary<Response>(
  { client, address, timeoutMs }: WorkloadCall,
  name: string,
  request: object,
): Promise<Response> {
  const method = loadService('workload.proto', 'SpiffeWorkloadAPI')[name];
  if (method === undefined) throw new TrustplaneError('ERR_INTERNAL', `no method ${name}`);
  const metadata = new Metadata();
  metadata.set('workload.spiffe.io', 'true');
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      metadata,
      { deadline: Date.now() + timeoutMs },
      (error: ServiceError | null, response?: Response) => {
        if (error !== null) reject(remoteError(error, address));
        else if (response === undefined) reject(invalid('it is empty'));
        else resolve(response);
      },
    );
  });
}

function invalid(why: string): TrustplaneError {
  return new TrustplaneError('ERR_CLIENT_RESPONSE', `the Workload API's answer is invalid: ${why}`);
}
