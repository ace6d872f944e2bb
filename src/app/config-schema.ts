import path from 'node:path';
import { z } from 'zod';
import { type LogLevel, logLevels, parseDurationMs } from '../ops/index.ts';
import { messageOf, TrustDomain } from '../spiffe/index.ts';

/** Turns a parser that throws into a schema whose message is the parser's. */
function parsed<T>(pattern: string, parse: (text: string) => T): z.ZodType<T, string> {
  return z
    .string()
    .meta({ pattern })
    .transform((text, context) => {
      try {
        return parse(text);
      } catch (error) {
        context.addIssue({ code: 'custom', message: messageOf(error) });
        return z.NEVER;
      }
    });
}

const trustDomain = parsed('^[a-z0-9._-]{1,255}$', (text) => TrustDomain.parse(text));

function duration(leastMs: number, mostMs: number): z.ZodType<number, string> {
  return parsed('^([0-9]+(ms|s|m|h|d))+$', (text) => {
    const ms = parseDurationMs(text);
    if (ms < leastMs || ms > mostMs) {
      throw new Error(
        `expected a duration from ${leastMs / 1000}s to ${mostMs / 1000}s, got ${text}`,
      );
    }
    return ms;
  });
}

const absolutePath = parsed('^/', (text) => {
  if (!path.isAbsolute(text) || text.includes('\0'))
    throw new Error(`expected an absolute path, got ${JSON.stringify(text)}`);
  return path.normalize(text);
});

const loopbackAddress = parsed('^(127\\.[0-9.]+|\\[::1\\]):[0-9]+$', (text) => {
  const match = /^(127(?:\.\d{1,3}){3}|\[::1\]):(\d{1,5})$/u.exec(text);
  const port = Number(match?.[2]);
  if (match === null || port > 65_535)
    throw new Error(
      `expected a loopback address such as 127.0.0.1:9988, got ${JSON.stringify(text)}`,
    );
  return { host: (match[1] ?? '').replace(/[[\]]/gu, ''), port };
});

const SECOND = 1_000;
const DAY = 86_400_000;

const ca = z.strictObject({
  ttl: duration(10 * SECOND, 3_650 * DAY)
    .optional()
    .describe(
      'Life of an X.509 authority; the next one is prepared at half of it and takes over at five sixths. Default 24h.',
    ),
  keyType: z
    .enum(['ec-p256', 'ec-p384', 'rsa-2048', 'rsa-4096'])
    .optional()
    .describe('Key type of new X.509 authorities. Default ec-p256.'),
  keyStorage: z
    .enum(['disk', 'memory'])
    .optional()
    .describe(
      'Where private keys of authorities live: sealed files in the data directory, or memory (a restart then starts a new authority). Default disk.',
    ),
  sealKeyFile: absolutePath
    .optional()
    .describe(
      'File with the key that seals the private keys on disk; made when it is missing. Default <dataDir>/seal.key.',
    ),
});

const x509Svid = z.strictObject({
  ttl: duration(2 * SECOND, 365 * DAY)
    .optional()
    .describe(
      'Life of an X509-SVID whose entry sets none. Default 1h, or a sixth of ca.ttl where that is shorter.',
    ),
  backdate: duration(0, 3_600 * SECOND)
    .optional()
    .describe(
      'How far notBefore lies before the instant of issue, for peers whose clocks are behind. Default 30s.',
    ),
});

const server = z.strictObject({
  dataDir: absolutePath
    .optional()
    .describe(
      'Database and sealed keys. Default /var/lib/trustplane for root, else $XDG_DATA_HOME/trustplane or ~/.local/share/trustplane.',
    ),
  adminSocket: absolutePath
    .optional()
    .describe(
      'Unix socket of the server API; open to its own user and root only. Default <run directory>/admin.sock.',
    ),
  ca: ca.optional(),
  x509Svid: x509Svid.optional(),
  bundle: z
    .strictObject({
      refreshHint: duration(SECOND, 30 * DAY)
        .optional()
        .describe('How often consumers of the bundle should poll it. Default 5m.'),
    })
    .optional(),
});

const secretName = z.string().min(1).max(256);

const sds = z.strictObject({
  defaultSvidName: secretName
    .optional()
    .describe('Resource name of the workload\'s first X509-SVID. Default "default".'),
  defaultBundleName: secretName
    .optional()
    .describe(
      'Resource name of the validation context with the own trust domain. Default "ROOTCA".',
    ),
  defaultAllBundlesName: secretName
    .optional()
    .describe(
      'Resource name of the validation context with the own and all federated trust domains. Default "ALL".',
    ),
  disableSpiffeCertValidation: z
    .boolean()
    .optional()
    .describe(
      'Send plain trusted_ca validation contexts, for Envoy before 1.18. Node metadata disable_spiffe_cert_validation wins. Default false.',
    ),
});

const unix = z.strictObject({
  discoverWorkloadPath: z
    .boolean()
    .optional()
    .describe('Produce the selectors unix:path and unix:sha256. Default true.'),
  workloadSizeLimit: z
    .int()
    .min(-1)
    .optional()
    .describe(
      'Largest executable, in bytes, that is hashed for unix:sha256; 0 for any size, -1 to hash none. Default 268435456.',
    ),
});

const agent = z.strictObject({
  socket: absolutePath
    .optional()
    .describe('Unix socket of the Workload API and SDS. Default <run directory>/agent.sock.'),
  sds: sds.optional(),
  workloadAttestors: z.strictObject({ unix: unix.optional() }).optional(),
});

/** The configuration file, for every role (YAML, camelCase). Everything has a default. */
export const configSchema: z.ZodType<ConfigFile> = z.strictObject({
  trustDomain: trustDomain
    .optional()
    .describe('Name of the trust domain, without spiffe://. Default example.org.'),
  server: server.optional(),
  agent: agent.optional(),
  log: z.strictObject({ level: z.enum(logLevels).optional().describe('Default info.') }).optional(),
  metrics: z
    .strictObject({
      address: loopbackAddress
        .optional()
        .describe('Loopback address that serves Prometheus metrics at /metrics. Default: none.'),
    })
    .optional(),
});

/** A section of the file: whatever it does not say takes its default. */
type Section<T> = { readonly [K in keyof T]?: T[K] | undefined };

/** What a configuration file may say. Durations in milliseconds. */
export type ConfigFile = Section<{
  trustDomain: TrustDomain;
  server: Section<{
    dataDir: string;
    adminSocket: string;
    ca: Section<{
      ttl: number;
      keyType: 'ec-p256' | 'ec-p384' | 'rsa-2048' | 'rsa-4096';
      keyStorage: 'disk' | 'memory';
      sealKeyFile: string;
    }>;
    x509Svid: Section<{ ttl: number; backdate: number }>;
    bundle: Section<{ refreshHint: number }>;
  }>;
  agent: Section<{
    socket: string;
    sds: Section<{
      defaultSvidName: string;
      defaultBundleName: string;
      defaultAllBundlesName: string;
      disableSpiffeCertValidation: boolean;
    }>;
    workloadAttestors: Section<{
      unix: Section<{ discoverWorkloadPath: boolean; workloadSizeLimit: number }>;
    }>;
  }>;
  log: Section<{ level: LogLevel }>;
  metrics: Section<{ address: { readonly host: string; readonly port: number } }>;
}>;
