import { z } from 'zod';
import { messageOf, TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import { domainKey, domainOfKey } from './domain-key.ts';
import type { RecordKind } from './record-kind.ts';
import {
  type EndpointProfile,
  type FederationRelationship,
  parseEndpointSpiffeId,
  parseEndpointUrl,
} from './relationship.ts';

const VERSION = 1;
const decoder = new TextDecoder('utf-8', { fatal: true });

/** Version 1. A later version keeps this schema and adds the step from it to itself. */
const schema = z.strictObject({
  v: z.literal(VERSION),
  trustDomain: z.string(),
  url: z.string(),
  profile: z.discriminatedUnion('type', [
    z.strictObject({ type: z.literal('https_web') }),
    z.strictObject({ type: z.literal('https_spiffe'), endpointSpiffeId: z.string() }),
  ]),
});

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
  const { trustDomain, bundleEndpointUrl, profile } = relationship;
  const document: z.input<typeof schema> = {
    v: VERSION,
    trustDomain: trustDomain.name,
    url: bundleEndpointUrl,
    profile:
      profile.type === 'https_web'
        ? profile
        : { type: profile.type, endpointSpiffeId: profile.endpointSpiffeId.toString() },
  };
  return Buffer.from(JSON.stringify(document));
}

function decodeRelationship(key: string, value: Uint8Array): FederationRelationship {
  try {
    const document = schema.parse(JSON.parse(decoder.decode(value)));
    const trustDomain = TrustDomain.parse(document.trustDomain);
    if (domainKey(NAME, trustDomain) !== key) throw new Error(`it is of ${trustDomain.name}`);
    const profile: EndpointProfile =
      document.profile.type === 'https_web'
        ? document.profile
        : {
            type: document.profile.type,
            endpointSpiffeId: parseEndpointSpiffeId(document.profile.endpointSpiffeId),
          };
    return { trustDomain, bundleEndpointUrl: parseEndpointUrl(document.url), profile };
  } catch (cause) {
    throw new TrustplaneError(
      'ERR_FEDERATION_RECORD',
      `the stored relationship of ${domainOfKey(key)} cannot be read: ${messageOf(cause)}`,
      { cause },
    );
  }
}
