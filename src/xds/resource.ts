import { createHash } from 'node:crypto';
import { type Encoded, encodeField, encodeMessage, toBuffer } from '../wire/index.ts';
import { type DiscoveryMessages, durationOf, RESOURCE_TYPE_URL } from './discovery-messages.ts';

/** Which content a name has; small enough to remember per stream, and shared by all of them. */
export interface ResourceRef {
  readonly name: string;
  /** For metrics and logs: one of few. */
  readonly kind: string;
  /** Equal exactly when the content is. */
  readonly version: string;
  /** There is a lesser form of it for a client that is unable to take this one. */
  readonly isReducible: boolean;
  /** After how many milliseconds without a heartbeat the client drops it; undefined: never. */
  readonly ttlMs?: number | undefined;
  /** Whose change it is an effect of, for traces: the ID of an entry. */
  readonly subject?: string | undefined;
}

/** One encoded resource, shared by all streams. */
export interface Resource extends ResourceRef {
  readonly ref: ResourceRef;
  /** An encoded DiscoveryResponse that holds only this resource. */
  readonly sotw: Encoded;
  /** An encoded DeltaDiscoveryResponse that holds only this resource. */
  readonly delta: Encoded;
}

const MAX_JOINED_BYTES = 65_536;

/** `value`: the encoded message of the type. */
export function sealResource(
  messages: DiscoveryMessages,
  typeUrl: string,
  value: Encoded,
  ref: ResourceRef,
): Resource {
  const { any, resource, sotwResponse, deltaResponse } = messages;
  const { name, version, ttlMs } = ref;
  const typed = wrap(messages, typeUrl, value);
  const ttl = ttlMs === undefined ? {} : { ttl: durationOf(ttlMs) };
  const body = encodeField(resource, 'resource', typed);
  const named = encodeMessage(resource, { name, version, ...ttl }, body);
  const listed = ttlMs === undefined ? typed : wrap({ any }, RESOURCE_TYPE_URL, named);
  return {
    ...ref,
    ref,
    sotw: joinSmall(encodeField(sotwResponse, 'resources', listed)),
    delta: joinSmall(encodeField(deltaResponse, 'resources', named)),
  };
}

function wrap({ any }: Pick<DiscoveryMessages, 'any'>, type_url: string, value: Encoded): Encoded {
  return encodeMessage(any, { type_url }, encodeField(any, 'value', value));
}

/** What is large is copied with each response in any case, and kept in parts until then. */
function joinSmall(encoded: Encoded): Encoded {
  if (encoded.bytes > MAX_JOINED_BYTES) return encoded;
  return { parts: [toBuffer(encoded)], bytes: encoded.bytes };
}

/** One resource's own version, or a hash over all of them: it tells of the content, not of the stream. */
export function versionOf(resources: readonly ResourceRef[]): string {
  const [first] = resources;
  if (first !== undefined && resources.length === 1) return first.version;
  const hash = createHash('sha256');
  for (const { version } of resources) hash.update(version);
  return hash.digest('hex').slice(0, 32);
}
