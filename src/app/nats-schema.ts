import { z } from 'zod';
import { parseNatsAddress } from '../nats/index.ts';
import { SpiffeId } from '../spiffe/index.ts';
import { absolutePath, option, parsed, type Section } from './config-values.ts';

const serverUrl = parsed('^(nats|tls)://', 'nats://host:port or tls://host:port', (text) => {
  parseNatsAddress(text);
  return text;
});

/** The section `federation.nats`. */
export const natsSchema: z.ZodType<NatsFile> = z.strictObject({
  servers: z
    .array(serverUrl)
    .min(1)
    .max(16)
    .meta({
      description:
        'nats-servers over which bundles of this and other trust domains are broadcast; one after the other is tried. `tls://` or, without TLS, `nats://`.',
      examples: [['tls://nats.example:4222']],
    }),
  serverId: parsed('^spiffe://', 'SPIFFE ID', (text) => SpiffeId.parse(text))
    .optional()
    .meta({
      description:
        'SPIFFE ID of the X509-SVID that the nats-servers present. Without it they present certificates for their host names.',
      examples: ['spiffe://prod.example/nats'],
    }),
  caFile: absolutePath.optional().meta({
    description:
      "PEM file of the authorities that vouch for certificates for host names. Without it the machine's.",
    examples: ['/etc/trustplane/nats-ca.pem'],
  }),
  certificateFile: absolutePath.optional().meta({
    description:
      'PEM file of the certificate that is presented to nats-servers, then of what leads to a root. Without it, over TLS, the own SVID.',
    examples: ['/etc/trustplane/nats.pem'],
  }),
  privateKeyFile: absolutePath.optional().meta({
    description: 'PEM file of its private key, unencrypted.',
    examples: ['/etc/trustplane/nats.key'],
  }),
  nkeySeedFile: absolutePath.optional().meta({
    description: 'File with the seed of an NKEY to log in with.',
    examples: ['/etc/trustplane/nats.nk'],
  }),
  credentialsFile: absolutePath.optional().meta({
    description: 'File with a JWT and the seed of its NKEY to log in with, as `nsc` writes it.',
    examples: ['/etc/trustplane/nats.creds'],
  }),
  allowPlaintext: option(
    z.boolean(),
    false,
    'Talk to nats-servers on other hosts without TLS. Bundles are signed, yet anybody between could hold them back.',
  ),
});

/** What the file may say of the broadcast. */
export type NatsFile = { readonly servers: readonly string[] } & Section<{
  serverId: SpiffeId;
  caFile: string;
  certificateFile: string;
  privateKeyFile: string;
  nkeySeedFile: string;
  credentialsFile: string;
  allowPlaintext: boolean;
}>;
