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

const DNS_NAME = /^(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}$/u;
const EMAIL = /^[^\s@,?<>]+@[^\s@,?<>]+$/u;
const PATH = /^\/[A-Za-z0-9._~/-]{0,255}$/u;

const dnsName = matching(DNS_NAME, 'DNS name', 'bundle.example.org, in lower case');
const email = matching(EMAIL, 'e-mail address', 'ops@example.org');
const httpPath = matching(PATH, 'path of a URL', '/bundle');

const acmeDirectory = parsed('^https://', 'https URL', (text) => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'https:' && url.username === '' && url.hash === '') return url.href;
  throw new Error(`expected an https URL without userinfo, got ${JSON.stringify(text)}`);
});

const acme = z.strictObject({
  domainNames: z
    .array(dnsName)
    .min(1)
    .max(16)
    .meta({
      description:
        'DNS names that the certificate is for. The endpoint proves them by tls-alpn-01: the ACME authority connects to port 443 of each.',
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
  email: email.optional().meta({
    description: 'Where the ACME authority may write to.',
    examples: ['ops@example.org'],
  }),
  caFile: absolutePath.optional().meta({
    description:
      "PEM file of the authorities that vouch for the ACME authority's own certificate. Without it the public ones.",
    examples: ['/etc/trustplane/acme-ca.pem'],
  }),
});

/** The section `federation.bundleEndpoint`. */
export const bundleEndpointSchema: z.ZodType<BundleEndpointFile> = z.strictObject({
  address: listenAddress.meta({
    description:
      'Where the bundle endpoint listens, over TLS. Whoever gets there may read it, so that new authorities wait for 3 x server.bundle.refreshHint before they sign, on all servers.',
    examples: ['0.0.0.0:8443'],
  }),
  profile: option(
    z.enum(['https_spiffe', 'https_web']),
    'https_spiffe',
    'How it shows who it is: by the SVID spiffe://<trust domain>/spire/server, or by a certificate of Web PKI, from files or ACME.',
  ),
  path: reloadable(option(httpPath, '/', 'Path of the bundle in its URL.')),
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
  leaveOutWitKeys: reloadable(
    option(
      z.boolean(),
      false,
      'Publish no WIT-SVID keys. SPIRE up to 1.15.2 refuses bundles that hold any.',
    ),
  ),
  bundleMap: z
    .strictObject({
      path: httpPath.optional().meta({
        reloadable: true,
        description:
          'Path of a SPIFFE Bundle Map with the own trust domain and those that are federated with as a whole. Without it there is none.',
        examples: ['/bundle-map'],
      }),
      envoyPath: httpPath.optional().meta({
        reloadable: true,
        description:
          "Path of the same with X.509 keys alone, as Envoy's SPIFFE validator takes it. Without it there is none.",
        examples: ['/envoy-bundle-map'],
      }),
    })
    .optional(),
});

function matching(pattern: RegExp, form: string, example: string): z.ZodType<string, string> {
  return parsed(pattern.source, form, (text) => {
    if (pattern.test(text)) return text;
    throw new Error(`expected ${form} such as ${example}; got ${JSON.stringify(text)}`);
  });
}

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
}
