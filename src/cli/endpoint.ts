import path from 'node:path';
import { type EndpointAddress, parseEndpointAddress } from '../client/index.ts';

/** A `--socket` value: a file path, or an address in the form of the Workload Endpoint specification. */
export function resolveEndpoint(text: string): EndpointAddress {
  const isAddress = /^[a-z]+:/u.test(text);
  return isAddress ? parseEndpointAddress(text) : { kind: 'unix', path: path.resolve(text) };
}
