import path from 'node:path';
import { defaultPaths } from '../app/default-paths.ts';
import { checkFallbackFolder } from '../app/fallback-folder.ts';
import {
  ENDPOINT_VARIABLE,
  type EndpointAddress,
  findEndpointAddress,
  parseEndpointAddress,
} from '../client/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import type { Io } from './io.ts';

/**
 * Where the Workload API is: a flag's file path or address, else SPIFFE_ENDPOINT_SOCKET, else the
 * default place.
 * @throws TrustplaneError ERR_FALLBACK_FOLDER, ERR_ENDPOINT_ADDRESS
 */
export function resolveEndpoint(io: Io, flag: string | undefined): EndpointAddress {
  if (flag !== undefined) {
    const isAddress = /^[a-z]+:/u.test(flag);
    return isAddress ? parseEndpointAddress(flag) : { kind: 'unix', path: path.resolve(flag) };
  }
  const isSet = (io.env[ENDPOINT_VARIABLE] ?? '') !== '';
  if (isSet) return findEndpointAddress(undefined, io.env);
  const { socket } = defaultPaths(io.uid, io.env);
  checkFallbackFolder(io.uid, [socket]);
  return { kind: 'unix', path: socket };
}

/** The same, for what is on Unix sockets alone. @throws TrustplaneError ERR_USAGE, … as `resolveEndpoint` */
export function resolveUnixSocket(io: Io, flag: string | undefined): string {
  const endpoint = resolveEndpoint(io, flag);
  if (endpoint.kind === 'unix') return endpoint.path;
  throw new TrustplaneError('ERR_USAGE', `--socket names a Unix socket; got ${endpoint.host}`);
}
