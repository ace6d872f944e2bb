import { isIP } from 'node:net';
import { quote, TrustplaneError } from '../../spiffe/index.ts';
import type { TreeMap } from './commented-tree.ts';

/** Where something listens or is: a Unix socket, or a host (name, IPv4, IPv6 without brackets) and a port. */
export type Place =
  | { readonly kind: 'socket'; readonly path: string }
  | { readonly kind: 'port'; readonly host: string; readonly port: number };

/** Bytes of a Unix socket's name, without the zero at its end. */
const MAX_SOCKET_BYTES = 107;
const MAX_PORT = 65_535;
const HOST_AND_PORT =
  /^(?:(?<name>[A-Za-z0-9._-]{1,253})|\[(?<v6>[0-9A-Fa-f:.]{2,45})\]):(?<port>[1-9][0-9]{0,4})$/u;

/**
 * `/run/x.sock`, `unix:///run/x.sock`, `127.0.0.1:8080`, `[::1]:8080` or `name.example:443`.
 * @throws TrustplaneError ERR_USAGE
 */
export function parsePlace(flag: string, text: string): Place {
  const path = text.startsWith('unix://') ? text.slice('unix://'.length) : text;
  if (path.startsWith('/')) return parseSocket(flag, path);
  const { name, v6, port } = HOST_AND_PORT.exec(text)?.groups ?? {};
  const host = v6 ?? name;
  const isHost =
    v6 === undefined ? !/^[\d.]+$/u.test(name ?? '') || isIP(name ?? '') === 4 : isIP(v6) === 6;
  if (host !== undefined && isHost && Number(port) <= MAX_PORT)
    return { kind: 'port', host, port: Number(port) };
  throw new TrustplaneError(
    'ERR_USAGE',
    `${flag} is a host and port such as 127.0.0.1:8080, or the path of a Unix socket; got ${quote(text)}`,
  );
}

/** @throws TrustplaneError ERR_USAGE */
export function parseSocket(
  flag: string,
  text: string,
): { readonly kind: 'socket'; readonly path: string } {
  const path = text.startsWith('unix://') ? text.slice('unix://'.length) : text;
  if (!path.startsWith('/') || /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u.test(path))
    throw new TrustplaneError(
      'ERR_USAGE',
      `${flag} is the absolute path of a Unix socket; got ${quote(text)}`,
    );
  const bytes = Buffer.byteLength(path);
  if (bytes > MAX_SOCKET_BYTES)
    throw new TrustplaneError(
      'ERR_USAGE',
      `${flag} has ${bytes} bytes; the path of a Unix socket has at most ${MAX_SOCKET_BYTES}`,
    );
  return { kind: 'socket', path };
}

/** Whether only this host reaches it. */
export function isOnHost(place: Place): boolean {
  return place.kind === 'socket' || /^(?:127\.\d+\.\d+\.\d+|::1|localhost)$/u.test(place.host);
}

/** Envoy resolves names only where it dials. */
export function isName(place: Place): boolean {
  return place.kind === 'port' && isIP(place.host) === 0;
}

/** Envoy's `Address`. */
export function addressOf(place: Place): TreeMap {
  if (place.kind === 'socket') return { pipe: { path: place.path } };
  return { socket_address: { address: place.host, port_value: place.port } };
}
