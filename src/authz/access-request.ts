import type { SpiffeId } from '../spiffe/spiffe-id.ts';
import { canonicalHost, parseQuery, splitTarget } from './canonical-request.ts';
import { Effort } from './effort.ts';
import { parseIp } from './ip-range.ts';
import type { Credential } from './policy.ts';

/** What is asked. */
export interface AccessRequest {
  /** Which service is called: its own SPIFFE ID, or the name that the route gives its policies. */
  readonly service: {
    readonly spiffeId?: string | undefined;
    readonly contextExtension?: string | undefined;
  };
  /** Who calls, or why that is not known. */
  readonly caller: SpiffeId | 'unauthenticated' | 'bad_svid' | 'unknown_trust_domain' | 'revoked';
  /** How the caller showed its ID. Default: x509-svid. */
  readonly credential?: Credential | undefined;
  /**
   * Whom a JWT-SVID names beside the caller's certificate: rules are matched with either ID, each as its
   * own credential. Only beside a caller by x509-svid.
   */
  readonly tokenCaller?: SpiffeId | undefined;
  /** Undefined: a connection of which no more is known. */
  readonly http?: HttpRequest | undefined;
  /** Of an HTTP request. Undefined: not known. */
  readonly bodyBytes?: number | undefined;
  readonly sourceIp?: string | undefined;
  readonly destinationIp?: string | undefined;
  readonly destinationPort?: number | undefined;
  /** The payload of a token whose signature was verified. */
  readonly claims?: Readonly<Record<string, unknown>> | undefined;
  /** Milliseconds. */
  readonly now: number;
}

interface HttpRequest {
  readonly method: string;
  /** With the query, as it was sent. */
  readonly target: string;
  readonly host?: string | undefined;
  /** The value of each line with the name, which is in lower case. */
  headers(name: string): readonly string[];
}

/** A request in the forms that rules are matched with. */
export interface CanonicalRequest {
  /** Undefined: not authenticated. */
  readonly callerId: string | undefined;
  readonly credential: Credential;
  readonly http: CanonicalHttp | undefined;
  readonly sourceIp: readonly number[] | undefined;
  readonly destinationIp: readonly number[] | undefined;
  readonly destinationPort: number | undefined;
  readonly claims: Readonly<Record<string, unknown>> | undefined;
  readonly now: number;
  /** What deciding may still cost. */
  readonly effort: Effort;
}

interface CanonicalHttp {
  readonly method: string;
  /** In capitals, as some servers read it. */
  readonly capitalMethod: string;
  readonly path: string;
  readonly host: string | undefined;
  /** Of each line with the name. */
  headers(name: string): readonly string[];
  /** Of a key, each time it is there. */
  query(key: string): readonly string[];
}

export function canonicalRequest(
  request: AccessRequest,
  effort: Effort = new Effort(),
): CanonicalRequest {
  const {
    caller,
    credential = 'x509-svid',
    http,
    sourceIp,
    destinationIp,
    destinationPort,
    claims,
    now,
  } = request;
  return {
    callerId: typeof caller === 'string' ? undefined : caller.toString(),
    credential,
    http: http && canonicalHttp(http),
    sourceIp: sourceIp === undefined ? undefined : parseIp(withoutZone(sourceIp)),
    destinationIp: destinationIp === undefined ? undefined : parseIp(withoutZone(destinationIp)),
    destinationPort,
    claims,
    now,
    effort,
  };
}

/** Headers and keys that many rules ask for are read once. */
function canonicalHttp(http: HttpRequest): CanonicalHttp {
  const { path, query } = splitTarget(http.target);
  const lines = new Map<string, readonly string[]>();
  let values: ReadonlyMap<string, readonly string[]> | undefined;
  return {
    method: http.method,
    capitalMethod: http.method.toUpperCase(),
    path,
    host: http.host === undefined ? undefined : canonicalHost(http.host),
    headers: (name) => {
      const known = lines.get(name) ?? http.headers(name);
      lines.set(name, known);
      return known;
    },
    query: (key) => {
      values ??= parseQuery(query);
      return values.get(key) ?? [];
    },
  };
}

/** Proxies write the interface behind a link-local address: `fe80::1%2`. */
function withoutZone(ip: string): string {
  const at = ip.indexOf('%');
  return at === -1 ? ip : ip.slice(0, at);
}
