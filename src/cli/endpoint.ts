import path from 'node:path';
import { defaultPaths } from '../app/default-paths.ts';
import {
  ENDPOINT_VARIABLE,
  type EndpointAddress,
  findEndpointAddress,
  parseEndpointAddress,
} from '../client/index.ts';
import type { Io } from './io.ts';

/**
 * Where the Workload API is: a flag's file path or address, else SPIFFE_ENDPOINT_SOCKET, else the
 * default place.
 */
export function resolveEndpoint(io: Io, flag: string | undefined): EndpointAddress {
  if (flag !== undefined) {
    const isAddress = /^[a-z]+:/u.test(flag);
    return isAddress ? parseEndpointAddress(flag) : { kind: 'unix', path: path.resolve(flag) };
  }
  const isSet = (io.env[ENDPOINT_VARIABLE] ?? '') !== '';
  return isSet
    ? findEndpointAddress(undefined, io.env)
    : { kind: 'unix', path: defaultPaths(io.uid, io.env).socket };
}
