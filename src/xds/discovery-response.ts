import { type DiscoveryMessages, durationOf } from './discovery-messages.ts';
import type { Heartbeat } from './leases.ts';
import { versionOf } from './resource.ts';
import type { Response } from './respond.ts';

/** A response of one type, on its way to the wire. */
export interface TypedResponse extends Response {
  readonly typeUrl: string;
}

/**
 * Writes responses out of encoded resources. Encoded messages that stand one after the other are one
 * message with the fields of both, so only the few bytes that differ per stream are encoded per stream.
 */
export interface ResponseEncoder {
  readonly sotw: (response: TypedResponse) => Buffer;
  readonly delta: (response: TypedResponse) => Buffer;
}

export function createResponseEncoder(messages: DiscoveryMessages): ResponseEncoder {
  const { sotwResponse, deltaResponse } = messages;
  return {
    sotw({ typeUrl, nonce, resources }) {
      const envelope = { version_info: versionOf(resources), type_url: typeUrl, nonce };
      const head = sotwResponse.encode(envelope).finish();
      return Buffer.concat([head, ...resources.flatMap(({ sotw }) => sotw.parts)]);
    },
    delta({ typeUrl, nonce, resources, heartbeats, removed }) {
      const beats = heartbeats.length === 0 ? {} : { resources: heartbeats.map(withoutBody) };
      const envelope = { type_url: typeUrl, nonce, removed_resources: removed, ...beats };
      const head = deltaResponse.encode(envelope).finish();
      return Buffer.concat([head, ...resources.flatMap(({ delta }) => delta.parts)]);
    },
  };
}

function withoutBody({ name, version, ttlMs }: Heartbeat): object {
  return { name, version, ttl: durationOf(ttlMs) };
}
