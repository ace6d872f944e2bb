import { z } from 'zod';

const API_VERSION = 'trustplane/v1';
const text = z.string();
const texts = z.array(text);
const flag = z.boolean();

const lifetime = z
  .union([text, z.int().min(0)], {
    error: ({ input }) => `expected a duration such as 1h30m, or whole seconds, got ${show(input)}`,
  })
  .meta({ description: 'Duration such as 1h30m, or seconds. Default: the server decides.' });

const instant = z
  .union([text, z.int().min(0)], {
    error: ({ input }) =>
      `expected an instant such as 2027-01-31T12:00:00Z, or Unix seconds, got ${show(input)}`,
  })
  .meta({ description: 'Instant such as 2027-01-31T12:00:00Z, or Unix seconds. Default: never.' });

/** A document of kind RegistrationEntry. */
export const entrySchema: z.ZodType<EntryDocument> = z.strictObject({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal('RegistrationEntry'),
  id: text.optional().meta({ description: 'Entry ID; made up when left out.' }),
  spiffeId: text.meta({ examples: ['spiffe://example.org/ns/payments/sa/api'] }),
  parentId: text.meta({
    description: 'The agent, node alias or entry below which the entry applies.',
  }),
  selectors: texts.min(1).meta({ examples: [['k8s:ns:payments', 'k8s:sa:api']] }),
  x509SvidTtl: lifetime.optional(),
  jwtSvidTtl: lifetime.optional(),
  federatesWith: texts.optional(),
  dnsNames: texts.optional(),
  hint: text.optional(),
  admin: flag.optional(),
  downstream: flag.optional(),
  storeSvid: flag.optional(),
  disableX509SvidPrefetch: flag.optional(),
  jwtSvidIncludeJti: flag.optional(),
  expiresAt: instant.optional(),
  variables: z
    .record(z.string().regex(/^[a-zA-Z][a-zA-Z0-9_]{0,62}$/u), texts.min(1))
    .optional()
    .meta({
      description:
        'Makes the document a template: for each variable the values it may have. ${name} stands for them.',
    }),
});

/** A document of kind FederationRelationship. */
export const relationshipSchema: z.ZodType<RelationshipDocument> = z.strictObject({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal('FederationRelationship'),
  trustDomain: text,
  bundleEndpointUrl: text,
  bundleEndpointProfile: z.enum(['https_web', 'https_spiffe']),
  endpointSpiffeId: text.optional(),
  accept: texts.optional(),
  publisherId: text.optional(),
  awaitAck: flag.optional(),
  webCa: text.optional().meta({ description: 'PEM' }),
});

export interface EntryDocument {
  readonly apiVersion: typeof API_VERSION;
  readonly kind: 'RegistrationEntry';
  readonly id?: string | undefined;
  readonly spiffeId: string;
  readonly parentId: string;
  readonly selectors: readonly string[];
  readonly x509SvidTtl?: string | number | undefined;
  readonly jwtSvidTtl?: string | number | undefined;
  readonly federatesWith?: readonly string[] | undefined;
  readonly dnsNames?: readonly string[] | undefined;
  readonly hint?: string | undefined;
  readonly admin?: boolean | undefined;
  readonly downstream?: boolean | undefined;
  readonly storeSvid?: boolean | undefined;
  readonly disableX509SvidPrefetch?: boolean | undefined;
  readonly jwtSvidIncludeJti?: boolean | undefined;
  readonly expiresAt?: string | number | undefined;
  readonly variables?: Readonly<Record<string, readonly string[]>> | undefined;
}

export interface RelationshipDocument {
  readonly apiVersion: typeof API_VERSION;
  readonly kind: 'FederationRelationship';
  readonly trustDomain: string;
  readonly bundleEndpointUrl: string;
  readonly bundleEndpointProfile: 'https_web' | 'https_spiffe';
  readonly endpointSpiffeId?: string | undefined;
  readonly accept?: readonly string[] | undefined;
  readonly publisherId?: string | undefined;
  readonly awaitAck?: boolean | undefined;
  readonly webCa?: string | undefined;
}

/** For editors; what only `trustplane apply --dry-run` can tell is not in it. */
export function applyJsonSchema(): object {
  const one = (schema: z.ZodType): object => {
    const { $schema: _, ...rest } = z.toJSONSchema(schema, {
      io: 'input',
      target: 'draft-2020-12',
    });
    return rest;
  };
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: 'urn:trustplane:apply:v1',
    title: 'trustplane apply',
    oneOf: [one(entrySchema), one(relationshipSchema)],
  };
}

function show(value: unknown): string {
  if (typeof value === 'object' && value !== null)
    return Array.isArray(value) ? 'a list' : 'a mapping';
  return (JSON.stringify(value) ?? String(value)).slice(0, 80);
}
