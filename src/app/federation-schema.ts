import { z } from 'zod';
import {
  type Address,
  absolutePath,
  listenAddress,
  option,
  parsed,
  reloadable,
  type Section,
} from './config-values.ts';
import { type RelationshipFile, relationshipSchema } from './relationship-schema.ts';

const DNS_NAME =
  '^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+$';

/** What a request line holds, without query. */
const httpPath = z
  .string()
  .max(256)
  .regex(/^\/[A-Za-z0-9._~/-]*$/u, 'expected an absolute path of a URL, such as /bundle');

const acmeDirectory = parsed('^https://', 'https URL', (text) => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'https:' && url.username === '' && url.hash === '') return url.href;
  throw new Error(`expected an https URL without userinfo, got ${JSON.stringify(text)}`);
});

const acme = z.strictObject({
  domainNames: z
    .array(z.string().regex(new RegExp(DNS_NAME, 'u'), 'expected a DNS name in lower case'))
    .min(1)
    .max(16)
    .meta({
      description: 'DNS names that the certificate is for.',
      examples: [['bundle.example.org']],
    }),
  tosAccepted: option(
    z.boolean(),
    false,
    'You agree to the terms of service of the ACME authority. Nothing is asked of it before you say so.',
  ),
  directoryUrl: option(
    acmeDirectory,
    'https://acme-v02.api.letsencrypt.org/directory',
    'Directory of the ACME authority (RFC 8555).',
  ),
  email: z
    .string()
    .max(254)
    .regex(/^[^\s@,?<>]+@[^\s@,?<>]+$/u, 'expected an e-mail address')
    .optional()
    .meta({
      description: 'Where the ACME authority may write to.',
      examples: ['ops@example.org'],
    }),
  caFile: absolutePath.optional().meta({
    description:
      "PEM file of the authorities that vouch for the ACME authority's own certificate. Without it the public ones.",
    examples: ['/etc/trustplane/acme-ca.pem'],
  }),
  http01Address: listenAddress.optional().meta({
    description:
      'Answers the challenge http-01 here, which the ACME authority reaches as port 80. Without it the endpoint itself answers tls-alpn-01, which it reaches as port 443.',
    examples: ['0.0.0.0:80'],
  }),
});

const bundleEndpoint = z.strictObject({
  address: listenAddress.meta({
    description: 'Where the bundle endpoint listens, over TLS. Whoever gets there may read it.',
    examples: ['0.0.0.0:8443'],
  }),
  profile: option(
    z.enum(['https_spiffe', 'https_web']),
    'https_spiffe',
    'How it shows who it is: by the SVID spiffe://<trust domain>/spire/server, or by a certificate of Web PKI, from files or ACME.',
  ),
  path: option(httpPath, '/', 'Path of the bundle in its URL.'),
  certificateFile: absolutePath.optional().meta({
    description:
      'With https_web: PEM file of the certificate, then of what leads to a root. Taken up again when it changes.',
    examples: ['/etc/trustplane/bundle-endpoint.pem'],
  }),
  privateKeyFile: absolutePath.optional().meta({
    description: 'With https_web: PEM file of its private key, unencrypted; mode 0600 or 0640.',
    examples: ['/etc/trustplane/bundle-endpoint.key'],
  }),
  acme: acme.optional(),
  leaveOutWitKeys: option(
    z.boolean(),
    false,
    'Publish no WIT-SVID keys. SPIRE up to 1.15.2 refuses bundles that hold any.',
  ),
  bundleMap: z
    .strictObject({
      path: httpPath.optional().meta({
        description:
          'Path of a SPIFFE Bundle Map with the own and all federated trust domains. Without it there is none.',
        examples: ['/bundle-map'],
      }),
      envoyPath: httpPath.optional().meta({
        description:
          "Path of the same with X.509 keys alone, as Envoy's SPIFFE validator takes it. Without it there is none.",
        examples: ['/envoy-bundle-map'],
      }),
    })
    .optional(),
});

/** The section `federation`. */
export const federationSchema: z.ZodType<FederationFile> = z.strictObject({
  bundleEndpoint: bundleEndpoint.optional(),
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
  maxRedirects: option(
    z.int().min(0).max(5),
    3,
    'How many redirects of a bundle endpoint are followed, each by the same rules as the configured URL. 0 for none.',
  ),
});

/** What the file may say of a bundle endpoint. */
export interface BundleEndpointFile {
  readonly address: Address;
  readonly profile?: 'https_spiffe' | 'https_web' | undefined;
  readonly path?: string | undefined;
  readonly certificateFile?: string | undefined;
  readonly privateKeyFile?: string | undefined;
  readonly acme?: AcmeFile | undefined;
  readonly leaveOutWitKeys?: boolean | undefined;
  readonly bundleMap?: Section<{ path: string; envoyPath: string }> | undefined;
}

/** What it may say of ACME. */
export interface AcmeFile {
  readonly domainNames: readonly string[];
  readonly tosAccepted?: boolean | undefined;
  readonly directoryUrl?: string | undefined;
  readonly email?: string | undefined;
  readonly caFile?: string | undefined;
  readonly http01Address?: Address | undefined;
}

/** What the file may say of other trust domains. */
export type FederationFile = Section<{
  bundleEndpoint: BundleEndpointFile;
  relationships: readonly RelationshipFile[];
  maxRedirects: number;
}>;
