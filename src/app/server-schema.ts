import { z } from 'zod';
import { SpiffeId } from '../spiffe/index.ts';
import {
  type Address,
  absolutePath,
  DAY,
  duration,
  listenAddress,
  option,
  parsed,
  reloadable,
  SECOND,
  type Section,
  serverAddress,
} from './config-values.ts';
import { type NodeAttestorsFile, nodeAttestorsSchema } from './node-attestors-schema.ts';
import { type StoreFile, storeSchema } from './store-schema.ts';

const vaultPath = z.string().regex(/^[A-Za-z0-9_-]+(?:\/[A-Za-z0-9_-]+){0,7}$/u);
const spiffeId = parsed('^spiffe://', 'SPIFFE ID', (text) => SpiffeId.parse(text));

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
  spiffeId: spiffeId.optional().meta({
    description: 'Which of the SVIDs it gives is used. Without it the first one.',
    examples: ['spiffe://prod.example/nested-server'],
  }),
});

const upstream = z.strictObject({
  disk: diskUpstream.optional(),
  spire: spireUpstream.optional(),
});

const secretFile = (description: string) =>
  absolutePath.meta({ description, examples: ['/etc/trustplane/vault-secret'] });

const vault = z.strictObject({
  address: parsed('^https://', 'https URL', (text) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (url?.protocol === 'https:' && url.pathname === '/' && url.search === '') return url.origin;
    throw new Error(`expected an https URL without a path, got ${JSON.stringify(text)}`);
  }).meta({
    description: 'Where Vault or OpenBao listens.',
    examples: ['https://vault.example:8200'],
  }),
  mount: option(vaultPath, 'transit', 'Where its transit engine is mounted.'),
  keyPrefix: option(
    z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/u),
    'trustplane-',
    'How the names of its keys begin; an ID of this server, made at the first start, follows.',
  ),
  namespace: vaultPath.optional().meta({
    description: 'The namespace there, if there are any.',
    examples: ['platform/identity'],
  }),
  caFile: absolutePath.optional().meta({
    description:
      "PEM file of the authorities that vouch for its certificate. Without it the machine's.",
    examples: ['/etc/trustplane/vault-ca.pem'],
  }),
  auth: z.strictObject({
    tokenFile: secretFile('File with a token, read again and again.').optional(),
    appRole: z
      .strictObject({
        mount: option(vaultPath, 'approle', 'Where the auth method is mounted.'),
        roleId: z
          .string()
          .min(1)
          .max(256)
          .meta({
            description: 'ID of the role.',
            examples: ['59d6d1ca-47bb-4e7e-a40b-8be3bc5a0ba8'],
          }),
        secretIdFile: secretFile('File with its secret ID, read at each login.'),
      })
      .optional(),
    jwt: z
      .strictObject({
        mount: option(vaultPath, 'kubernetes', 'Where the auth method is mounted.'),
        role: z
          .string()
          .min(1)
          .max(256)
          .meta({ description: 'Name of the role.', examples: ['trustplane'] }),
        tokenFile: option(
          absolutePath,
          '/var/run/secrets/kubernetes.io/serviceaccount/token',
          'File with the signed token of the service account, read at each login.',
        ),
      })
      .optional(),
  }),
});

const sealPassphrase = z.strictObject({
  file: absolutePath.optional().meta({
    description:
      'File with the passphrase that seals the key in sealKeyFile: 12 to 1024 bytes, a line end not counted. Keys that are there already: see `trustplane keys reseal`.',
    examples: ['/etc/trustplane/passphrase'],
  }),
  credential: z
    .string()
    .regex(/^[A-Za-z0-9_.-]{1,128}$/u)
    .optional()
    .meta({
      description: 'Instead, the name of the systemd credential that holds it.',
      examples: ['trustplane-passphrase'],
    }),
  variable: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/u)
    .optional()
    .meta({
      description: 'Instead, the name of the environment variable that holds it.',
      examples: ['TRUSTPLANE_PASSPHRASE'],
    }),
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
    z.enum(['disk', 'memory', 'vault']),
    'disk',
    'Where private keys of authorities live: sealed files in the data directory; memory, then each start makes a new authority; or the transit engine of Vault or OpenBao.',
  ),
  sealKeyFile: option(
    absolutePath,
    '/var/lib/trustplane/seal.key',
    'File with the key that seals the private keys on disk, made when it is missing. Elsewhere <dataDir>/seal.key.',
  ),
  sealPassphrase: sealPassphrase.optional(),
  vault: vault.optional(),
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

const audit = z.strictObject({
  maxBytes: reloadable(
    option(
      z
        .int()
        .min(1_048_576)
        .max(2 ** 50),
      4_294_967_296,
      'How large the audit ledger of this server may grow, about: its oldest file is removed then. 10 million certificates are 6 GB.',
    ),
  ),
  retain: reloadable(
    option(
      duration(DAY, 3650 * DAY),
      '90d',
      'How long records are kept, if there is room; removed are whole files, at the start and whenever one is full.',
    ),
  ),
});

/** The section `server`. */
export const serverSchema: z.ZodType<ServerFile> = z.strictObject({
  id: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/u)
    .optional()
    .meta({
      description:
        'What names this server among those of its control plane. Without it one that is made at the first start and kept in the data directory, to which it belongs for good.',
      examples: ['eu-1'],
    }),
  dataDir: option(
    absolutePath,
    '/var/lib/trustplane',
    'Database and sealed keys. For users other than root $XDG_DATA_HOME/trustplane or ~/.local/share/trustplane.',
  ),
  store: storeSchema.optional(),
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
  nodeAttestors: nodeAttestorsSchema.optional(),
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
  audit: audit.optional(),
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

/** What the file may say of Vault. */
export interface VaultFile {
  readonly address: string;
  readonly mount?: string | undefined;
  readonly keyPrefix?: string | undefined;
  readonly namespace?: string | undefined;
  readonly caFile?: string | undefined;
  readonly auth: Section<{
    tokenFile: string;
    appRole: {
      readonly mount?: string | undefined;
      readonly roleId: string;
      readonly secretIdFile: string;
    };
    jwt: {
      readonly mount?: string | undefined;
      readonly role: string;
      readonly tokenFile?: string | undefined;
    };
  }>;
}

/** What the file may say of a server. Durations in milliseconds. */
export type ServerFile = Section<{
  id: string;
  dataDir: string;
  store: StoreFile;
  adminSocket: string;
  bindAddress: Address;
  nodeAttestors: NodeAttestorsFile;
  expiredAgentGrace: number;
  ca: Section<{
    ttl: number;
    keyType: 'ec-p256' | 'ec-p384' | 'rsa-2048' | 'rsa-4096';
    jwtKeyType: 'ec-p256' | 'ec-p384' | 'rsa-2048' | 'rsa-4096';
    keyStorage: 'disk' | 'memory' | 'vault';
    sealKeyFile: string;
    sealPassphrase: Section<{ file: string; credential: string; variable: string }>;
    vault: VaultFile;
    upstream: Section<{
      disk: {
        readonly certificateFile: string;
        readonly privateKeyFile: string;
        readonly bundleFile?: string | undefined;
      };
      spire: {
        readonly servers: readonly Address[];
        readonly workloadApiSocket: string;
        readonly spiffeId?: SpiffeId | undefined;
      };
    }>;
  }>;
  x509Svid: Section<{ ttl: number; backdate: number }>;
  jwtSvid: Section<{ ttl: number; issuer: string }>;
  agentSvid: Section<{ ttl: number }>;
  rateLimits: Section<{ attestation: number; signing: number; jwtSigning: number }>;
  audit: Section<{ maxBytes: number; retain: number }>;
  bundle: Section<{ refreshHint: number }>;
}>;
