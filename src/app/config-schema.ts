import { z } from 'zod';
import { type LogLevel, logLevels } from '../ops/index.ts';
import { TrustDomain } from '../spiffe/index.ts';
import { type AgentFile, agentSchema } from './agent-schema.ts';
import { type AuthzFile, authzSchema } from './authz-schema.ts';
import {
  type Address,
  loopbackAddress,
  option,
  parsed,
  reloadable,
  type Section,
} from './config-values.ts';
import { type FederationFile, federationSchema } from './federation-schema.ts';
import { type ServerFile, serverSchema } from './server-schema.ts';

const trustDomain = parsed('^[a-z0-9._-]{1,255}$', 'name of a trust domain', (text) =>
  TrustDomain.parse(text),
);

const collectorUrl = parsed('^https?://', 'http or https URL', (text) => {
  const protocol = URL.canParse(text) ? new URL(text).protocol : '';
  if (protocol === 'http:' || protocol === 'https:') return text;
  throw new Error(`expected an http or https URL, got ${JSON.stringify(text)}`);
});

/** The configuration file, for every role (YAML, camelCase). Everything has a default. */
export const configSchema: z.ZodType<ConfigFile> = z.strictObject({
  trustDomain: option(
    trustDomain,
    'example.org',
    'Name of the trust domain, without spiffe://. The data directory belongs to it for good.',
  ),
  server: serverSchema.optional(),
  agent: agentSchema.optional(),
  authz: authzSchema.optional(),
  federation: federationSchema.optional(),
  log: z
    .strictObject({
      level: reloadable(
        option(z.enum(logLevels), 'info', 'Least level that is logged, on standard error.'),
      ),
      traces: z
        .strictObject({
          endpoint: collectorUrl.optional().meta({
            description:
              'Where traces of changes go, from an entry to the Envoy that has it: a collector that takes OTLP over HTTP. Without it nothing is traced.',
            examples: ['http://127.0.0.1:4318/v1/traces'],
          }),
          sample: option(
            z.number().min(0).max(1),
            1,
            'Which share of the changes is traced, from 0 to 1.',
          ),
        })
        .optional(),
    })
    .optional(),
  metrics: z
    .strictObject({
      address: loopbackAddress.optional().meta({
        description:
          'Serves Prometheus metrics at /metrics and health at /live and /ready. Without it nothing listens.',
        examples: ['127.0.0.1:9988'],
      }),
    })
    .optional(),
});

/** What a configuration file may say. Durations in milliseconds. */
export type ConfigFile = Section<{
  trustDomain: TrustDomain;
  server: ServerFile;
  agent: AgentFile;
  authz: AuthzFile;
  federation: FederationFile;
  log: Section<{ level: LogLevel; traces: Section<{ endpoint: string; sample: number }> }>;
  metrics: Section<{ address: Address }>;
}>;
