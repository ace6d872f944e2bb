import { z } from 'zod';
import { parseEndpointSpiffeId, parseEndpointUrl, parsePublisherId } from '../federation/index.ts';
import { TrustDomain } from '../spiffe/index.ts';
import { absolutePath, option, parsed } from './config-values.ts';

/** A text that a parser takes. */
function text(pattern: string, form: string, parse: (text: string) => unknown) {
  return parsed(pattern, form, (given) => {
    parse(given);
    return given;
  });
}

const spiffeId = (parse: (text: string) => unknown) => text('^spiffe://', 'SPIFFE ID', parse);

/** One of `federation.relationships`. */
export const relationshipSchema: z.ZodType<RelationshipFile> = z.strictObject({
  trustDomain: text('^[a-z0-9._-]{1,255}$', 'name of a trust domain', (name) =>
    TrustDomain.parse(name),
  ).meta({
    description: 'Name of the foreign trust domain, without spiffe://.',
    examples: ['b.test'],
  }),
  bundleEndpointUrl: text('^https://', 'https URL', parseEndpointUrl).meta({
    description: 'Where its bundle is served.',
    examples: ['https://b.test/bundle'],
  }),
  bundleEndpointProfile: z.enum(['https_web', 'https_spiffe']).meta({
    description:
      'How the server there shows who it is: by a certificate of Web PKI for the host of the URL, or by an X509-SVID.',
    examples: ['https_spiffe'],
  }),
  endpointSpiffeId: spiffeId(parseEndpointSpiffeId)
    .optional()
    .meta({
      description: 'With https_spiffe: the SPIFFE ID of the server there, exactly.',
      examples: ['spiffe://b.test/spire/server'],
    }),
  trustBundleFile: absolutePath.optional().meta({
    description:
      'File with the bundle to begin with: a SPIFFE bundle document, or X.509 authorities in PEM. Taken up while there is no bundle, or one with a lower sequence number.',
    examples: ['/etc/trustplane/b.test.json'],
  }),
  webCaFile: absolutePath.optional().meta({
    description:
      "With https_web: PEM file of the authorities of the endpoint's certificate, in place of those the machine trusts.",
    examples: ['/etc/trustplane/web-ca.pem'],
  }),
  accept: z
    .array(z.string().min(1).max(2_048))
    .max(64)
    .optional()
    .meta({
      description:
        'SPIFFE IDs of the trust domain that are accepted, each exactly or with /** behind it for all below. Without it all are.',
      examples: [['spiffe://b.test/payments/**']],
    }),
  publisherId: spiffeId(parsePublisherId)
    .optional()
    .meta({
      description:
        'SPIFFE ID of who signs its bundle where it is broadcast. Without it endpointSpiffeId, or with https_web spiffe://<trust domain>/spire/server.',
      examples: ['spiffe://b.test/spire/server'],
    }),
  awaitAck: option(
    z.boolean(),
    false,
    'A new X.509 authority of this trust domain waits with signing until that one has confirmed the bundle with it.',
  ),
});

/** What the file may say of one relationship. */
export interface RelationshipFile {
  readonly trustDomain: string;
  readonly bundleEndpointUrl: string;
  readonly bundleEndpointProfile: 'https_web' | 'https_spiffe';
  readonly endpointSpiffeId?: string | undefined;
  readonly trustBundleFile?: string | undefined;
  readonly webCaFile?: string | undefined;
  readonly accept?: readonly string[] | undefined;
  readonly publisherId?: string | undefined;
  readonly awaitAck?: boolean | undefined;
}
