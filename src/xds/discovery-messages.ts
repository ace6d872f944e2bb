import type { Type } from 'protobufjs';
import { messageType } from '../wire/index.ts';

const DISCOVERY = 'envoy.service.discovery.v3';
const FILE = 'envoy/service/discovery/v3/discovery.proto';

/** The messages of the xDS exchange, ready to encode and decode. */
export interface DiscoveryMessages {
  readonly sotwRequest: Type;
  readonly sotwResponse: Type;
  readonly deltaRequest: Type;
  readonly deltaResponse: Type;
  readonly resource: Type;
  readonly any: Type;
}

export function loadDiscoveryMessages(): DiscoveryMessages {
  return {
    sotwRequest: messageType(FILE, `${DISCOVERY}.DiscoveryRequest`),
    sotwResponse: messageType(FILE, `${DISCOVERY}.DiscoveryResponse`),
    deltaRequest: messageType(FILE, `${DISCOVERY}.DeltaDiscoveryRequest`),
    deltaResponse: messageType(FILE, `${DISCOVERY}.DeltaDiscoveryResponse`),
    resource: messageType(FILE, `${DISCOVERY}.Resource`),
    any: messageType(FILE, 'google.protobuf.Any'),
  };
}

/** The type URL of every resource that carries a TTL in a SotW response. */
export const RESOURCE_TYPE_URL: string = `type.googleapis.com/${DISCOVERY}.Resource`;

/** A google.protobuf.Duration of that many milliseconds. */
export function durationOf(ms: number): object {
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanos: Math.round((ms - seconds * 1000) * 1e6) };
}
