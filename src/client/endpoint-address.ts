import { isIPv4, isIPv6 } from 'node:net';
import { TrustplaneError } from '../spiffe/index.ts';

/** Where a Workload API is served. */
export type EndpointAddress =
  | { readonly kind: 'unix'; readonly path: string }
  /** `host` is an IP address, without brackets. */
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

/** The environment variable that names the Workload API when nothing else does (Workload Endpoint §4). */
export const ENDPOINT_VARIABLE = 'SPIFFE_ENDPOINT_SOCKET';

const MAX_CHARACTERS = 4_096;
const URI_PATH = /^\/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*$/u;
const HOST_AND_PORT = /^(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):([1-9][0-9]{0,4})$/u;
const MAX_PORT = 65_535;

/**
 * The address to use: `given`, else what the environment says (Workload Endpoint §4).
 * @throws TrustplaneError ERR_ENDPOINT_ADDRESS
 */
export function findEndpointAddress(
  given: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): EndpointAddress {
  const text = given ?? environment[ENDPOINT_VARIABLE];
  if (text !== undefined && text !== '') return parseEndpointAddress(text);
  throw new TrustplaneError(
    'ERR_ENDPOINT_ADDRESS',
    `no Workload API address: none is given and ${ENDPOINT_VARIABLE} is not set`,
  );
}

/**
 * Parses `unix:<absolute path>`, `unix://<absolute path>` or `tcp://<IP>:<port>`, with nothing else
 * in it (Workload Endpoint §4; RFC 3986, so `%xx` stands for a byte of the path).
 * @throws TrustplaneError ERR_ENDPOINT_ADDRESS
 */
export function parseEndpointAddress(text: string): EndpointAddress {
  if (text.length > MAX_CHARACTERS) throw malformed(text, `has over ${MAX_CHARACTERS} characters`);
  if (text.startsWith('unix:')) return { kind: 'unix', path: parseUnix(text) };
  if (text.startsWith('tcp://')) return parseTcp(text);
  throw malformed(text, 'does not begin with "unix:" or "tcp://"');
}

function parseUnix(text: string): string {
  const rest = text.slice('unix:'.length);
  const path = rest.startsWith('//') ? rest.slice(2) : rest;
  if (rest.startsWith('//') && !path.startsWith('/')) throw malformed(text, 'has an authority');
  if (!path.startsWith('/') || path === '/') throw malformed(text, 'has no absolute path');
  if (/[?#]/u.test(path)) throw malformed(text, 'has a query or fragment');
  if (!URI_PATH.test(path)) throw malformed(text, 'has characters that a URI path does not');
  return decodePath(text, path);
}

function decodePath(text: string, path: string): string {
  let decoded: string;
  try {
    decoded = decodeURIComponent(path);
  } catch {
    throw malformed(text, 'has an escape that is no UTF-8');
  }
  if (decoded.includes('\0')) throw malformed(text, 'has a NUL');
  return decoded;
}

function parseTcp(text: string): EndpointAddress {
  const [, v6, v4, digits] = HOST_AND_PORT.exec(text.slice('tcp://'.length)) ?? [];
  const host = v6 ?? v4 ?? '';
  const port = Number(digits);
  const isAddress = v6 === undefined ? isIPv4(host) : isIPv6(host);
  if (isAddress && port <= MAX_PORT) return { kind: 'tcp', host, port };
  throw malformed(text, 'is not an IP address and a port');
}

function malformed(text: string, why: string): TrustplaneError {
  const shown = JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
  return new TrustplaneError(
    'ERR_ENDPOINT_ADDRESS',
    `a Workload API address is like unix:///run/agent.sock or tcp://127.0.0.1:8000; ${shown} ${why}`,
  );
}
