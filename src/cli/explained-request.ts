import type { LoadedPolicies } from '../app/load-policies.ts';
import type { AccessRequest } from '../authz/index.ts';
import { SpiffeId, TrustplaneError } from '../spiffe/index.ts';
import { soleService } from './sole-service.ts';

/** A request as the flags of `policy explain` describe it. */
export interface RequestOptions {
  readonly as?: string;
  /** Who calls, where `as` does not say it. Default: unauthenticated. */
  readonly caller?: AccessRequest['caller'];
  readonly request?: string;
  readonly service?: string;
  readonly contextExtension?: string;
  readonly host?: string;
  readonly header?: readonly string[];
  readonly claims?: string;
  readonly ip?: string;
  readonly destinationIp?: string;
  readonly port?: number;
  readonly body?: number;
  readonly credential?: 'x509-svid' | 'jwt-svid';
  /** Unix seconds. Default: now. */
  readonly at?: number;
}

/** @throws TrustplaneError ERR_USAGE, ERR_SPIFFE_ID_* */
export async function buildRequest(
  options: RequestOptions,
  loaded: LoadedPolicies,
): Promise<AccessRequest> {
  const { systemClock } = await import('../ops/system-clock.ts');
  return {
    service: await serviceOf(options, loaded),
    caller: callerOf(options),
    credential: options.credential,
    http: httpOf(options),
    bodyBytes: options.body ?? 0,
    claims: options.claims === undefined ? undefined : parseClaims(options.claims),
    sourceIp: options.ip,
    destinationIp: options.destinationIp,
    destinationPort: options.port,
    now: options.at === undefined ? systemClock.now() : options.at * 1_000,
  };
}

function callerOf({ as, caller = 'unauthenticated' }: RequestOptions): AccessRequest['caller'] {
  return as === undefined ? caller : SpiffeId.parse(as);
}

async function serviceOf(
  { service, contextExtension }: RequestOptions,
  { policies }: LoadedPolicies,
): Promise<AccessRequest['service']> {
  if (service !== undefined || contextExtension !== undefined)
    return { spiffeId: service, contextExtension };
  return await soleService(
    policies.map(({ policy }) => policy),
    'the policies are for several services; name one with --service or --context-extension',
  );
}

function httpOf({ request, host, header = [] }: RequestOptions): AccessRequest['http'] {
  if (request === undefined) return undefined;
  const [, method, target] = /^(\S+) (\S+)$/u.exec(request) ?? [];
  if (method === undefined || target === undefined)
    throw new TrustplaneError('ERR_USAGE', '--request is a method and a path, as in "GET /x"');
  const lines = header.map(parseHeader);
  const headers = (name: string) =>
    lines.filter((line) => line.name === name).map(({ value }) => value);
  return { method, target, host, headers };
}

function parseHeader(line: string): { readonly name: string; readonly value: string } {
  const [, name, value] = /^([^:\s]+):\s*(.*)$/u.exec(line) ?? [];
  if (name === undefined || value === undefined)
    throw new TrustplaneError('ERR_USAGE', '--header is a line, as in "x-ticket: INC-1"');
  return { name: name.toLowerCase(), value };
}

function parseClaims(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  } catch {
    // Said below.
  }
  throw new TrustplaneError('ERR_USAGE', '--claims is a JSON object');
}
