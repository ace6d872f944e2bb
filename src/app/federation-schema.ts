import { z } from 'zod';
import { type BundleEndpointFile, bundleEndpointSchema } from './bundle-endpoint-schema.ts';
import { option, reloadable, type Section } from './config-values.ts';
import { type NatsFile, natsSchema } from './nats-schema.ts';
import { type RelationshipFile, relationshipSchema } from './relationship-schema.ts';

/** The section `federation`. */
export const federationSchema: z.ZodType<FederationFile> = z.strictObject({
  bundleEndpoint: bundleEndpointSchema.optional(),
  relationships: reloadable(
    z
      .array(relationshipSchema)
      .max(10_000)
      .optional()
      .meta({
        description:
          'Foreign trust domains whose bundles are fetched and trusted. One that is taken out ends with its bundle; those made by command are left alone. The same on all servers of a trust domain.',
        examples: [
          [
            {
              trustDomain: 'b.test',
              bundleEndpointUrl: 'https://b.test/bundle',
              bundleEndpointProfile: 'https_web',
            },
          ],
        ],
      }),
  ),
  nats: natsSchema.optional(),
  maxRedirects: option(
    z.int().min(0).max(5),
    3,
    'How many redirects of a bundle endpoint are followed, each by the same rules as the configured URL. 0 for none.',
  ),
});

/** What the file may say of other trust domains. */
export type FederationFile = Section<{
  bundleEndpoint: BundleEndpointFile;
  relationships: readonly RelationshipFile[];
  nats: NatsFile;
  maxRedirects: number;
}>;
