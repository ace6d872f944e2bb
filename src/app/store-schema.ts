import { z } from 'zod';
import { parseNatsAddress } from '../nats/index.ts';
import { absolutePath, option, parsed, type Section } from './config-values.ts';

const serverUrl = parsed('^(nats|tls)://', 'nats://host:port or tls://host:port', (text) => {
  parseNatsAddress(text);
  return text;
});

const monitoringUrl = parsed('^https?://', 'http or https URL without a path', (text) => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && url.pathname === '/' && url.search === '') return url.origin;
  throw new Error(`expected an http or https URL without a path, got ${JSON.stringify(text)}`);
});

/** The section `server.store`. */
export const storeSchema: z.ZodType<StoreFile> = z.strictObject({
  type: option(
    z.enum(['sqlite', 'jetstream']),
    'sqlite',
    'Where records are: in a database in the data directory, for one server; or in NATS JetStream, where several servers share them. The other options are of the latter.',
  ),
  servers: z
    .array(serverUrl)
    .min(1)
    .max(16)
    .optional()
    .meta({
      description:
        'nats-servers that keep the records, 2.11 or later; one after the other is tried. `tls://` or, on this host, `nats://`.',
      examples: [['tls://nats-1.example:4222', 'tls://nats-2.example:4222']],
    }),
  caFile: absolutePath.optional().meta({
    description: "PEM file of the authorities that vouch for them. Without it the machine's.",
    examples: ['/etc/trustplane/store-ca.pem'],
  }),
  certificateFile: absolutePath.optional().meta({
    description:
      'PEM file of the certificate that is presented to them, then of what leads to a root. Never an SVID: an outage longer than its life could not be left.',
    examples: ['/etc/trustplane/store.pem'],
  }),
  privateKeyFile: absolutePath.optional().meta({
    description: 'PEM file of its private key, unencrypted.',
    examples: ['/etc/trustplane/store.key'],
  }),
  nkeySeedFile: absolutePath.optional().meta({
    description: 'File with the seed of an NKEY to log in with.',
    examples: ['/etc/trustplane/store.nk'],
  }),
  credentialsFile: absolutePath.optional().meta({
    description: 'File with a JWT and the seed of its NKEY to log in with, as `nsc` writes it.',
    examples: ['/etc/trustplane/store.creds'],
  }),
  replicas: option(
    z.union([z.literal(1), z.literal(3), z.literal(5)]),
    3,
    'How many nats-servers hold each record. Fewer than 3 are for tests.',
  ),
  monitoringUrls: z
    .array(monitoringUrl)
    .min(1)
    .max(16)
    .optional()
    .meta({
      description:
        'Monitoring of all nats-servers that hold records, asked at the start whether they sync each write. Without it they are asked through NATS, for which the account imports `$SYS.REQ.SERVER.PING.JSZ`.',
      examples: [['http://nats-1.example:8222', 'http://nats-2.example:8222']],
    }),
  isTest: option(
    z.boolean(),
    false,
    'Start although acknowledged changes, revocations too, can be lost: with fewer replicas, or nats-servers that do not sync each write.',
  ),
});

/** What the file may say of the store. */
export type StoreFile = Section<{
  type: 'sqlite' | 'jetstream';
  servers: readonly string[];
  caFile: string;
  certificateFile: string;
  privateKeyFile: string;
  nkeySeedFile: string;
  credentialsFile: string;
  replicas: 1 | 3 | 5;
  monitoringUrls: readonly string[];
  isTest: boolean;
}>;
