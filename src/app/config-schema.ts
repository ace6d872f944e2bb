import { isIP } from 'node:net';
import path from 'node:path';
import { z } from 'zod';
import { formatDuration, type LogLevel, logLevels, parseDurationMs } from '../ops/index.ts';
import { messageOf, TrustDomain } from '../spiffe/index.ts';

/** Turns a parser that throws into a schema whose message is the parser's. `form`: what is accepted, for people. */
function parsed<T>(
  pattern: string,
  form: string,
  parse: (text: string) => T,
): z.ZodType<T, string> {
  return z
    .string()
    .meta({ pattern, $comment: form })
    .transform((text, context) => {
      try {
        return parse(text);
      } catch (error) {
        context.addIssue({ code: 'custom', message: messageOf(error) });
        return z.NEVER;
      }
    });
}

/** An option and what the JSON Schema, the example file and the reference say of it; `standard` is its default. */
function option<T>(
  schema: z.ZodType<T>,
  standard: string | number | boolean,
  description: string,
): z.ZodOptional<z.ZodType<T>> {
  return schema.optional().meta({ description, default: standard });
}

/** An option that a running process takes up when it is told to reload. */
function reloadable<S extends z.ZodType>(schema: S): S {
  return schema.meta({ ...schema.meta(), reloadable: true });
}

const trustDomain = parsed('^[a-z0-9._-]{1,255}$', 'name of a trust domain', (text) =>
  TrustDomain.parse(text),
);

function duration(leastMs: number, mostMs: number): z.ZodType<number, string> {
  const bounds = `${formatDuration(leastMs)} to ${formatDuration(mostMs)}`;
  return parsed('^([0-9]+(ms|s|m|h|d))+$', `duration, ${bounds}`, (text) => {
    const ms = parseDurationMs(text);
    if (ms < leastMs || ms > mostMs)
      throw new Error(`expected a duration of ${bounds}, got ${text}`);
    return ms;
  });
}

const absolutePath = parsed('^/', 'absolute path', (text) => {
  if (!path.isAbsolute(text) || text.includes('\0'))
    throw new Error(`expected an absolute path, got ${JSON.stringify(text)}`);
  return path.normalize(text);
});

const loopbackAddress = parsed(
  '^(127\\.[0-9.]+|\\[::1\\]):[0-9]+$',
  'loopback address and port',
  (text) => {
    const match = /^(127(?:\.\d{1,3}){3}|\[::1\]):(\d{1,5})$/u.exec(text);
    const port = Number(match?.[2]);
    if (match === null || port > 65_535)
      throw new Error(
        `expected a loopback address such as 127.0.0.1:9988, got ${JSON.stringify(text)}`,
      );
    return { host: (match[1] ?? '').replace(/[[\]]/gu, ''), port };
  },
);

const listenAddress = parsed(
  '^([0-9.]+|\\[[0-9a-fA-F:.]+\\]):[0-9]+$',
  'IP address and port',
  (text) => {
    const match = /^(?:([0-9.]+)|\[([0-9a-f:.]+)\]):(\d{1,5})$/iu.exec(text);
    const host = match?.[1] ?? match?.[2] ?? '';
    const port = Number(match?.[3]);
    const family = match?.[1] === undefined ? 6 : 4;
    if (isIP(host) !== family || port > 65_535)
      throw new Error(
        `expected an IP address and port such as 0.0.0.0:8081 or [::]:8081, got ${JSON.stringify(text)}`,
      );
    return { host, port };
  },
);

const serverAddress = parsed(
  '^([A-Za-z0-9._-]+|\\[[0-9a-fA-F:.]+\\]):[0-9]+$',
  'host and port',
  (text) => {
    const match = /^(?:([a-z0-9._-]{1,253})|\[([0-9a-f:.]+)\]):(\d{1,5})$/iu.exec(text);
    const host = match?.[1] ?? match?.[2] ?? '';
    const port = Number(match?.[3]);
    const isIpv6 = match?.[2] === undefined || isIP(host) === 6;
    if (host === '' || !isIpv6 || !(port >= 1 && port <= 65_535))
      throw new Error(
        `expected a host and port such as server.example:8081, got ${JSON.stringify(text)}`,
      );
    return { host, port };
  },
);

const SECOND = 1_000;
const DAY = 86_400_000;

const diskUpstream = z.strictObject({
  certificateFile: absolutePath.meta({
    description:
      'PEM file of the CA that signs the X.509 authorities of this server, then of what leads from it to a root. Read each time.',
    examples: ['/etc/trustplane/upstream/ca.pem'],
  }),
  privateKeyFile: absolutePath.meta({
    description: 'PEM file of its private key, unencrypted; mode 0600.',
    examples: ['/etc/trustplane/upstream/ca.key'],
  }),
  bundleFile: absolutePath.optional().meta({
    description: 'PEM file of the roots. Without it the CA has to be one.',
    examples: ['/etc/trustplane/upstream/roots.pem'],
  }),
});

const spireUpstream = z.strictObject({
  servers: z
    .array(serverAddress)
    .min(1)
    .max(16)
    .meta({
      description:
        'Servers of the same trust domain, trustplane or SPIRE, that sign the X.509 authorities of this one.',
      examples: [['root-server.example:8081']],
    }),
  workloadApiSocket: absolutePath.meta({
    description:
      'Unix socket of the Workload API that gives this server the SVID it calls them with; its entry has to be downstream.',
    examples: ['/run/trustplane/root-agent.sock'],
  }),
});

const upstream = z.strictObject({
  disk: diskUpstream.optional(),
  spire: spireUpstream.optional(),
});

const ca = z.strictObject({
  ttl: option(
    duration(10 * SECOND, 3_650 * DAY),
    '24h',
    'Life of an authority, X.509 or JWT; the next one is prepared at half of it and takes over at five sixths.',
  ),
  keyType: option(
    z.enum(['ec-p256', 'ec-p384', 'rsa-2048', 'rsa-4096']),
    'ec-p256',
    'Key type of new X.509 authorities.',
  ),
  jwtKeyType: option(
    z.enum(['ec-p256', 'ec-p384', 'rsa-2048', 'rsa-4096']),
    'ec-p256',
    'Key type of new JWT authorities: ES256, ES384 or RS256 tokens. Some relying parties verify RS256 alone.',
  ),
  keyStorage: option(
    z.enum(['disk', 'memory']),
    'disk',
    'Where private keys of authorities live: sealed files in the data directory, or memory; then each start makes a new authority.',
  ),
  sealKeyFile: option(
    absolutePath,
    '/var/lib/trustplane/seal.key',
    'File with the key that seals the private keys on disk, made when it is missing. Elsewhere <dataDir>/seal.key.',
  ),
  upstream: upstream.optional(),
});

const x509Svid = z.strictObject({
  ttl: reloadable(
    option(
      duration(2 * SECOND, 365 * DAY),
      '1h',
      'Life of an X509-SVID whose entry sets none. The default is a sixth of ca.ttl where that is shorter than 1h.',
    ),
  ),
  backdate: option(
    duration(0, 3_600 * SECOND),
    '30s',
    'How far notBefore lies before the instant of issue, for peers whose clocks are behind; at most a quarter of the life.',
  ),
});

const issuerUrl = parsed('^https://', 'https URL', (text) => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'https:' && url.search === '' && url.hash === '') return text;
  throw new Error(`expected an https URL without query and fragment, got ${JSON.stringify(text)}`);
});

const jwtSvid = z.strictObject({
  ttl: reloadable(
    option(
      duration(SECOND, DAY),
      '5m',
      'Life of a JWT-SVID whose entry sets none. The default is a sixth of ca.ttl where that is shorter than 5m.',
    ),
  ),
  issuer: issuerUrl.optional().meta({
    description:
      'The claim "iss" of JWT-SVIDs, which OIDC relying parties want. Without it there is none.',
    examples: ['https://oidc.example.org'],
  }),
});

const agentSvid = z.strictObject({
  ttl: reloadable(
    duration(2 * SECOND, 365 * DAY)
      .optional()
      .meta({
        description: "Life of an agent's own X509-SVID. Without it that of x509Svid.ttl.",
        examples: ['1h'],
      }),
  ),
});

/** Of calls a second from one address. */
function rate(standard: number, description: string): z.ZodOptional<z.ZodType<number>> {
  return reloadable(option(z.int().min(0).max(1_000_000), standard, description));
}

const rateLimits = z.strictObject({
  attestation: rate(
    1,
    'Attestations a second from one IP address (IPv6: /64), and how many at once after a pause; 0 is no limit. More wait in line, for up to 25 s.',
  ),
  signing: rate(
    500,
    'X509-SVIDs a second that agents at one address get, a batch counted for what is in it; 0 is no limit. More wait in line, for up to 8 s.',
  ),
  jwtSigning: rate(500, 'The same of JWT-SVIDs.'),
});

const x509pop = z.strictObject({
  caBundle: absolutePath.optional().meta({
    reloadable: true,
    description:
      'PEM file of the authorities whose nodes may join with the attestor x509pop. Without it none may.',
    examples: ['/etc/trustplane/nodes.pem'],
  }),
  agentPathTemplate: z
    .string()
    .min(1)
    .max(2048)
    .optional()
    .meta({
      reloadable: true,
      description:
        'Path of their agents below /spire/agent; without it /x509pop/ and the fingerprint of the certificate.',
      examples: ['/x509pop/{{ .Subject.CommonName }}'],
    }),
});

const server = z.strictObject({
  dataDir: option(
    absolutePath,
    '/var/lib/trustplane',
    'Database and sealed keys. For users other than root $XDG_DATA_HOME/trustplane or ~/.local/share/trustplane.',
  ),
  adminSocket: option(
    absolutePath,
    '/run/trustplane/admin.sock',
    'Unix socket of the server API, open to its own user and root only. For users other than root in $XDG_RUNTIME_DIR/trustplane or /tmp/trustplane-<uid>.',
  ),
  bindAddress: listenAddress.optional().meta({
    description:
      'Where the server listens for agents, over TLS. Without it `trustplane server run` takes 127.0.0.1:8081, and `trustplane up` listens on no port.',
    examples: ['0.0.0.0:8081'],
  }),
  nodeAttestors: z.strictObject({ x509pop: x509pop.optional() }).optional(),
  expiredAgentGrace: option(
    duration(0, 365 * DAY),
    '30d',
    'How long after its SVID has expired an agent that joined with a token may come back by proving its last key. 0s for never.',
  ),
  ca: ca.optional(),
  x509Svid: x509Svid.optional(),
  jwtSvid: jwtSvid.optional(),
  agentSvid: agentSvid.optional(),
  rateLimits: rateLimits.optional(),
  bundle: z
    .strictObject({
      refreshHint: option(
        duration(SECOND, 30 * DAY),
        '5m',
        'How often consumers of the bundle are asked to poll it.',
      ),
    })
    .optional(),
});

const secretName = z.string().min(1).max(256);

const sds = z.strictObject({
  defaultSvidName: option(
    secretName,
    'default',
    "Resource name of the workload's first X509-SVID.",
  ),
  defaultBundleName: option(
    secretName,
    'ROOTCA',
    'Resource name of the validation context with the own trust domain.',
  ),
  defaultAllBundlesName: option(
    secretName,
    'ALL',
    'Resource name of the validation context with the own and all federated trust domains.',
  ),
  disableSpiffeCertValidation: option(
    z.boolean(),
    false,
    'Send plain trusted_ca validation contexts, for Envoy before 1.18. Node metadata disable_spiffe_cert_validation wins.',
  ),
});

const unix = z.strictObject({
  discoverWorkloadPath: option(
    z.boolean(),
    true,
    'Produce the selectors unix:path and unix:sha256.',
  ),
  workloadSizeLimit: option(
    z.int().min(-1),
    268_435_456,
    'Largest executable, in bytes, that is hashed for unix:sha256; 0 for any size, -1 to hash none.',
  ),
});

const bundleUrl = parsed('^https://', 'https URL', (text) => {
  if (!URL.canParse(text) || new URL(text).protocol !== 'https:')
    throw new Error(`expected an https URL, got ${JSON.stringify(text)}`);
  return text;
});

const sha256 = parsed('^([0-9a-fA-F]{2}:?){32}$', 'SHA-256 in hex', (text) => {
  const hex = text.replaceAll(':', '').toLowerCase();
  if (/^[0-9a-f]{64}$/u.test(hex)) return hex;
  throw new Error(`expected a SHA-256 of 64 hex digits, got ${JSON.stringify(text)}`);
});

const bootstrap = z.strictObject({
  bundleFile: absolutePath.optional().meta({
    description:
      'File with the bundle that the first server is judged by: PEM, or a SPIFFE bundle document, as `trustplane bundle show` prints both.',
    examples: ['/etc/trustplane/bundle.pem'],
  }),
  bundleUrl: bundleUrl.optional().meta({
    description: 'The same, fetched over HTTPS each time it is needed.',
    examples: ['https://bundles.example/prod.example'],
  }),
  bundleUrlPublicKey: sha256.optional().meta({
    description:
      "SHA-256 of the public key (SubjectPublicKeyInfo, DER) of the bundleUrl's certificate. With it the key alone decides, without it the machine's certificate authorities.",
  }),
  insecure: option(
    z.boolean(),
    false,
    'Believe the first server that answers, whoever that is. For trying out.',
  ),
});

const nodeAttestation = z.strictObject({
  joinToken: z.string().min(1).max(255).optional().meta({
    secret: true,
    description: 'Join token, as `trustplane token generate` prints it. Needed once.',
  }),
  joinTokenFile: absolutePath.optional().meta({
    description: 'File with a join token, read at each attestation.',
    examples: ['/etc/trustplane/join-token'],
  }),
  x509pop: z
    .strictObject({
      certificateFile: absolutePath.meta({
        description: 'PEM file of the certificate of this node. Read at each attestation.',
        examples: ['/etc/trustplane/node.pem'],
      }),
      privateKeyFile: absolutePath.meta({
        description: 'PEM file of its private key, unencrypted.',
        examples: ['/etc/trustplane/node.key'],
      }),
      intermediatesFile: absolutePath.optional().meta({
        description: 'PEM file with what follows in the chain.',
      }),
    })
    .optional(),
});

const cache = z.strictObject({
  enabled: option(
    z.boolean(),
    true,
    'Keep what the agent has, sealed, in its data directory, so that it serves after a restart while no server answers.',
  ),
  keyFile: option(
    absolutePath,
    '/etc/trustplane/agent-cache.key',
    'File with the key of the cache, outside the data directory; made when it is missing. The systemd credential trustplane-agent-cache-key takes its place. For users other than root in $XDG_CONFIG_HOME/trustplane or ~/.config/trustplane.',
  ),
});

const agent = z.strictObject({
  dataDir: option(
    absolutePath,
    '/var/lib/trustplane-agent',
    "The agent's own state. For users other than root $XDG_DATA_HOME/trustplane-agent or ~/.local/share/trustplane-agent.",
  ),
  servers: z
    .array(serverAddress)
    .min(1)
    .max(16)
    .optional()
    .meta({
      reloadable: true,
      description:
        'Where `trustplane agent run` reaches servers, 127.0.0.1:8081 unless said. One that answers is kept; when it fails another takes its place.',
      examples: [['server-1.example:8081', 'server-2.example:8081']],
    }),
  bootstrap: bootstrap.optional(),
  nodeAttestation: nodeAttestation.optional(),
  cache: cache.optional(),
  socket: option(
    absolutePath,
    '/run/trustplane/agent.sock',
    'Unix socket of the Workload API and SDS, open to every user. For users other than root beside the admin socket.',
  ),
  allowUnauthenticatedVerifiers: option(
    z.boolean(),
    false,
    'Give workloads without an identity the bundles of the own trust domain too, and validate JWT-SVIDs for them.',
  ),
  allowedForeignJwtClaims: z
    .array(z.string().min(1).max(256))
    .max(256)
    .optional()
    .meta({
      description:
        'Claims of JWT-SVIDs of foreign trust domains that workloads are told beside the registered ones.',
      examples: [['groups']],
    }),
  sds: sds.optional(),
  workloadAttestors: z.strictObject({ unix: unix.optional() }).optional(),
});

/** The configuration file, for every role (YAML, camelCase). Everything has a default. */
export const configSchema: z.ZodType<ConfigFile> = z.strictObject({
  trustDomain: option(
    trustDomain,
    'example.org',
    'Name of the trust domain, without spiffe://. The data directory belongs to it for good.',
  ),
  server: server.optional(),
  agent: agent.optional(),
  log: z
    .strictObject({
      level: reloadable(
        option(z.enum(logLevels), 'info', 'Least level that is logged, on standard error.'),
      ),
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

/** A section of the file: whatever it does not say takes its default. */
type Section<T> = { readonly [K in keyof T]?: T[K] | undefined };

/** What a configuration file may say. Durations in milliseconds. */
export type ConfigFile = Section<{
  trustDomain: TrustDomain;
  server: Section<{
    dataDir: string;
    adminSocket: string;
    bindAddress: { readonly host: string; readonly port: number };
    nodeAttestors: Section<{
      x509pop: Section<{ caBundle: string; agentPathTemplate: string }>;
    }>;
    expiredAgentGrace: number;
    ca: Section<{
      ttl: number;
      keyType: 'ec-p256' | 'ec-p384' | 'rsa-2048' | 'rsa-4096';
      jwtKeyType: 'ec-p256' | 'ec-p384' | 'rsa-2048' | 'rsa-4096';
      keyStorage: 'disk' | 'memory';
      sealKeyFile: string;
      upstream: Section<{
        disk: {
          readonly certificateFile: string;
          readonly privateKeyFile: string;
          readonly bundleFile?: string | undefined;
        };
        spire: {
          readonly servers: readonly { readonly host: string; readonly port: number }[];
          readonly workloadApiSocket: string;
        };
      }>;
    }>;
    x509Svid: Section<{ ttl: number; backdate: number }>;
    jwtSvid: Section<{ ttl: number; issuer: string }>;
    agentSvid: Section<{ ttl: number }>;
    rateLimits: Section<{ attestation: number; signing: number; jwtSigning: number }>;
    bundle: Section<{ refreshHint: number }>;
  }>;
  agent: Section<{
    dataDir: string;
    servers: readonly { readonly host: string; readonly port: number }[];
    bootstrap: Section<{
      bundleFile: string;
      bundleUrl: string;
      bundleUrlPublicKey: string;
      insecure: boolean;
    }>;
    nodeAttestation: Section<{
      joinToken: string;
      joinTokenFile: string;
      x509pop: {
        readonly certificateFile: string;
        readonly privateKeyFile: string;
        readonly intermediatesFile?: string | undefined;
      };
    }>;
    cache: Section<{ enabled: boolean; keyFile: string }>;
    socket: string;
    allowUnauthenticatedVerifiers: boolean;
    allowedForeignJwtClaims: readonly string[];
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
