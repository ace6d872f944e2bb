import { z } from 'zod';
import { messageOf, TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import { domainKey, domainOfKey } from './domain-key.ts';
import type { RecordKind } from './record-kind.ts';
import {
  type EndpointProfile,
  type FederationRelationship,
  parseAccept,
  parseEndpointSpiffeId,
  parseEndpointUrl,
  parsePublisherId,
  parseWebCa,
  plainTerms,
} from './relationship.ts';

const VERSION = 2;
const decoder = new TextDecoder('utf-8', { fatal: true });

const endpoint = {
  trustDomain: z.string(),
  url: z.string(),
  profile: z.discriminatedUnion('type', [
    z.strictObject({ type: z.literal('https_web') }),
    z.strictObject({ type: z.literal('https_spiffe'), endpointSpiffeId: z.string() }),
  ]),
};
/** The endpoint alone. */
const schema1 = z.strictObject({ v: z.literal(1), ...endpoint });
const schema2 = z.strictObject({
  v: z.literal(VERSION),
  ...endpoint,
  accept: z.array(z.string()).readonly(),
  publisherId: z.string().optional(),
  awaitAck: z.boolean(),
  webCa: z.string().optional(),
  source: z.enum(['config', 'api']),
  managedBy: z.string().optional(),
});
const schema = z.discriminatedUnion('v', [schema1, schema2]);

const NAME = 'relationship';

export const relationshipKind: RecordKind<FederationRelationship> = {
  name: NAME,
  notFoundCode: 'ERR_RELATIONSHIP_NOT_FOUND',
  keyOf: (trustDomain) => domainKey(NAME, trustDomain),
  nameOf: domainOfKey,
  encode: encodeRelationship,
  decode: decodeRelationship,
};

function encodeRelationship(relationship: FederationRelationship): Uint8Array {
  const { trustDomain, bundleEndpointUrl, profile, accept, publisherId } = relationship;
  const { awaitAck, webCa, source, managedBy } = relationship;
  const document: z.input<typeof schema2> = {
    v: VERSION,
    trustDomain: trustDomain.name,
    url: bundleEndpointUrl,
    profile:
      profile.type === 'https_web'
        ? profile
        : { type: profile.type, endpointSpiffeId: profile.endpointSpiffeId.toString() },
    accept: accept.map(String),
    publisherId: publisherId?.toString(),
    awaitAck,
    webCa,
    source,
    managedBy,
  };
  return Buffer.from(JSON.stringify(document));
}

function decodeRelationship(key: string, value: Uint8Array): FederationRelationship {
  try {
    const document = schema.parse(JSON.parse(decoder.decode(value)));
    const trustDomain = TrustDomain.parse(document.trustDomain);
    if (domainKey(NAME, trustDomain) !== key) throw new Error(`it is of ${trustDomain.name}`);
    return {
      trustDomain,
      bundleEndpointUrl: parseEndpointUrl(document.url),
      profile: readProfile(document.profile),
      ...(document.v === 1 ? plainTerms : readTerms(document, trustDomain)),
    };
  } catch (cause) {
    throw new TrustplaneError(
      'ERR_FEDERATION_RECORD',
      `the stored relationship of ${domainOfKey(key)} cannot be read: ${messageOf(cause)}`,
      { cause },
    );
  }
}

function readProfile(stored: z.output<typeof schema2>['profile']): EndpointProfile {
  if (stored.type === 'https_web') return stored;
  return { type: stored.type, endpointSpiffeId: parseEndpointSpiffeId(stored.endpointSpiffeId) };
}

function readTerms(
  { accept, publisherId, awaitAck, webCa, source, managedBy }: z.output<typeof schema2>,
  trustDomain: TrustDomain,
): typeof plainTerms {
  return {
    accept: parseAccept(accept, trustDomain),
    publisherId: publisherId === undefined ? undefined : parsePublisherId(publisherId),
    awaitAck,
    webCa: webCa === undefined ? undefined : parseWebCa(webCa),
    source,
    ...(managedBy !== undefined && { managedBy }),
  };
}
