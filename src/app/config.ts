import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import {
  checkDocument,
  type Environment,
  formatDuration,
  type LocatedYaml,
  type LogLevel,
  parseStrictYaml,
} from '../ops/index.ts';
import { messageOf, TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import { type AgentConfig, buildAgentConfig } from './agent-config.ts';
import type { CrlAudience } from './agent-schema.ts';
import { type AuthzConfig, buildAuthz } from './authz-config.ts';
import { type ConfigFile, configSchema } from './config-schema.ts';
import type { DefaultPaths } from './default-paths.ts';
import { buildFederation, type FederationConfig } from './federation-config.ts';
import type { NodeAttestorsFile } from './node-attestors-schema.ts';
import { buildPassphraseSource, type PassphraseSource } from './passphrase.ts';
import { buildSharedStore, type SharedStoreConfig } from './store-config.ts';
import { buildUpstream, type UpstreamConfig } from './upstream-config.ts';
import { buildVault, type VaultConfig } from './vault-config.ts';
import {
  buildWorkloadAttestors,
  type WorkloadAttestorsConfig,
} from './workload-attestors-config.ts';

const MAX_CONFIG_BYTES = 1_048_576;

/** The complete configuration of every role, every default filled in. Durations in milliseconds. */
export interface Config extends AgentConfig {
  readonly trustDomain: TrustDomain;
  readonly dataDir: string;
  /** Undefined: records are in a database in the data directory. */
  readonly sharedStore: SharedStoreConfig | undefined;
  /** Undefined: the one in the data directory. */
  readonly serverId: string | undefined;
  readonly socket: string;
  readonly adminSocket: string;
  /** Of the port for agents; undefined where nothing says. */
  readonly bindAddress: { readonly host: string; readonly port: number } | undefined;
  /** The ways for nodes to join; each is off unless it stands there. */
  readonly nodeAttestors: NodeAttestorsFile;
  readonly caTtlMs: number;
  readonly caKeyType: 'ec-p256' | 'ec-p384' | 'rsa-2048' | 'rsa-4096';
  readonly jwtKeyType: 'ec-p256' | 'ec-p384' | 'rsa-2048' | 'rsa-4096';
  readonly keyStorage: 'disk' | 'memory' | 'vault';
  /** Set when keys are stored there. */
  readonly vault: VaultConfig | undefined;
  readonly sealKeyFile: string;
  /** Undefined: the seal key stands in its file as it is. */
  readonly sealPassphrase: PassphraseSource | undefined;
  /** What signs the X.509 authorities; undefined: they are self-signed. */
  readonly upstream: UpstreamConfig | undefined;
  readonly x509SvidTtlMs: number;
  readonly jwtSvidTtlMs: number;
  readonly jwtIssuer: string | undefined;
  readonly agentSvidTtlMs: number;
  /** How long after its SVID an agent may come back with its last key. */
  readonly expiredAgentGraceMs: number;
  /** Per second and address; 0: no limit. */
  readonly rateLimits: {
    readonly attestation: number;
    readonly signing: number;
    readonly jwtSigning: number;
  };
  /** How much is kept of what was issued and done. */
  readonly audit: { readonly maxBytes: number; readonly retainMs: number };
  readonly backdateMs: number;
  readonly refreshHintMs: number;
  /** Undefined: Envoy asks nobody about requests. */
  readonly authz: AuthzConfig | undefined;
  readonly federation: FederationConfig;
  /** Who may read the agent's facts, beside root and its own user. */
  readonly factsReaders: { readonly uids: readonly number[]; readonly gids: readonly number[] };
  readonly allowUnauthenticatedVerifiers: boolean;
  readonly allowedForeignJwtClaims: readonly string[];
  readonly sdsNames: {
    readonly defaultSvid: string;
    readonly defaultBundle: string;
    readonly allBundles: string;
  };
  readonly disableSpiffeCertValidation: boolean;
  readonly crls: CrlAudience;
  readonly workloadAttestors: WorkloadAttestorsConfig;
  readonly logLevel: LogLevel;
  /** Undefined: nothing is traced. */
  readonly traces: { readonly endpoint: string; readonly sample: number } | undefined;
  readonly metricsAddress: { readonly host: string; readonly port: number } | undefined;
}

/** Values that flags set; they win over the file. Texts are in the file's forms. */
export interface ConfigFlags {
  readonly trustDomain?: string | undefined;
  readonly dataDir?: string | undefined;
  readonly agentDataDir?: string | undefined;
  readonly cacheKeyFile?: string | undefined;
  readonly servers?: readonly string[] | undefined;
  readonly bundleFile?: string | undefined;
  readonly insecureBootstrap?: boolean | undefined;
  readonly joinToken?: string | undefined;
  readonly socket?: string | undefined;
  readonly adminSocket?: string | undefined;
  readonly bindAddress?: string | undefined;
  readonly x509SvidTtl?: string | undefined;
  readonly caTtl?: string | undefined;
  readonly logLevel?: string | undefined;
}

/**
 * Reads and checks a configuration file, with the variables of `env` in it replaced.
 * @throws TrustplaneError ERR_CONFIG_FILE when it cannot be read, ERR_YAML, ERR_CONFIG
 */
export function loadConfigFile(file: string, env: Environment): ConfigFile {
  return checkDocument(readConfigDocument(file, env), configSchema);
}

/** The file as it stands, with variables replaced. @throws TrustplaneError ERR_CONFIG_FILE, ERR_YAML */
export function readConfigDocument(file: string, env: Environment): LocatedYaml {
  return parseStrictYaml(readConfigText(file), file, env);
}

/**
 * Joins flags, file and defaults, and checks them against each other.
 * @throws TrustplaneError ERR_CONFIG
 */
export function buildConfig(flags: ConfigFlags, file: ConfigFile, paths: DefaultPaths): Config {
  return completeConfig(mergeFlags(flags, file), paths);
}

/** Fills in the defaults. @throws TrustplaneError ERR_CONFIG for what contradicts itself */
export function completeConfig(merged: ConfigFile, paths: DefaultPaths): Config {
  const { server, agent, trustDomain = TrustDomain.parse('example.org') } = merged;
  const dataDir = server?.dataDir ?? paths.dataDir;
  const x509SvidTtlMs = server?.x509Svid?.ttl ?? defaultSvidTtlMs(server?.ca?.ttl, 3_600_000);
  const config: Config = {
    trustDomain,
    dataDir,
    sharedStore: buildSharedStore(server?.store),
    serverId: server?.id,
    ...buildAgentConfig(agent, paths),
    socket: agent?.socket ?? paths.socket,
    adminSocket: server?.adminSocket ?? paths.adminSocket,
    bindAddress: server?.bindAddress,
    nodeAttestors: server?.nodeAttestors ?? {},
    caTtlMs: server?.ca?.ttl ?? 86_400_000,
    caKeyType: server?.ca?.keyType ?? 'ec-p256',
    jwtKeyType: server?.ca?.jwtKeyType ?? 'ec-p256',
    keyStorage: server?.ca?.keyStorage ?? 'disk',
    vault: buildVault(server?.ca),
    sealKeyFile: server?.ca?.sealKeyFile ?? path.join(dataDir, 'seal.key'),
    sealPassphrase: buildPassphraseSource(server?.ca?.sealPassphrase),
    upstream: buildUpstream(server?.ca?.upstream),
    x509SvidTtlMs,
    jwtSvidTtlMs: server?.jwtSvid?.ttl ?? defaultSvidTtlMs(server?.ca?.ttl, 300_000),
    jwtIssuer: server?.jwtSvid?.issuer,
    agentSvidTtlMs: server?.agentSvid?.ttl ?? x509SvidTtlMs,
    expiredAgentGraceMs: server?.expiredAgentGrace ?? 2_592_000_000,
    rateLimits: {
      attestation: server?.rateLimits?.attestation ?? 1,
      signing: server?.rateLimits?.signing ?? 500,
      jwtSigning: server?.rateLimits?.jwtSigning ?? 500,
    },
    audit: {
      maxBytes: server?.audit?.maxBytes ?? 4_294_967_296,
      retainMs: server?.audit?.retain ?? 7_776_000_000,
    },
    backdateMs: server?.x509Svid?.backdate ?? 30_000,
    refreshHintMs: server?.bundle?.refreshHint ?? 300_000,
    authz: buildAuthz(merged.authz),
    federation: buildFederation(merged.federation, trustDomain),
    factsReaders: {
      uids: agent?.factsReaders?.uids ?? [],
      gids: agent?.factsReaders?.gids ?? [],
    },
    allowUnauthenticatedVerifiers: agent?.allowUnauthenticatedVerifiers ?? false,
    allowedForeignJwtClaims: agent?.allowedForeignJwtClaims ?? [],
    sdsNames: {
      defaultSvid: agent?.sds?.defaultSvidName ?? 'default',
      defaultBundle: agent?.sds?.defaultBundleName ?? 'ROOTCA',
      allBundles: agent?.sds?.defaultAllBundlesName ?? 'ALL',
    },
    disableSpiffeCertValidation: agent?.sds?.disableSpiffeCertValidation ?? false,
    crls: agent?.crls ?? 'workloadApi',
    workloadAttestors: buildWorkloadAttestors(agent?.workloadAttestors ?? {}),
    logLevel: merged.log?.level ?? 'info',
    traces: tracesOf(merged.log?.traces),
    metricsAddress: merged.metrics?.address,
  };
  const contradictions = findContradictions(config);
  if (contradictions.length > 0) throw new TrustplaneError('ERR_CONFIG', contradictions.join('\n'));
  return config;
}

function tracesOf(traces: NonNullable<ConfigFile['log']>['traces']): Config['traces'] {
  if (traces?.endpoint === undefined) return undefined;
  return { endpoint: traces.endpoint, sample: traces.sample ?? 1 };
}

/** The JSON Schema of the configuration file, as an editor reads it: descriptions, defaults, bounds. */
export function configJsonSchema(): object {
  const schema = z.toJSONSchema(configSchema, {
    io: 'input',
    target: 'draft-2020-12',
    // zod leaves these two out where a text is parsed into something else.
    override({ zodSchema, jsonSchema }) {
      const { default: standard, examples } = z.globalRegistry.get(zodSchema) ?? {};
      if (standard !== undefined) Object.assign(jsonSchema, { default: standard });
      if (examples !== undefined) Object.assign(jsonSchema, { examples });
    },
  });
  return { ...schema, $id: 'urn:trustplane:config:v1', title: 'trustplane configuration' };
}

/** The longest, or a sixth of a CA life that is too short for it, so that a short CA life needs no second flag. */
function defaultSvidTtlMs(caTtlMs: number | undefined, longestMs: number): number {
  return Math.min(longestMs, Math.max(2_000, Math.floor((caTtlMs ?? 86_400_000) / 6)));
}

function findContradictions(config: Config): string[] {
  const found: string[] = [];
  for (const [name, ttlMs] of [
    ['x509Svid', config.x509SvidTtlMs],
    ['jwtSvid', config.jwtSvidTtlMs],
    ['agentSvid', config.agentSvidTtlMs],
  ] as const) {
    if (ttlMs <= config.caTtlMs) continue;
    found.push(
      `server.${name}.ttl (${formatDuration(ttlMs)}) is longer than server.ca.ttl (${formatDuration(config.caTtlMs)}); an SVID cannot outlive its authority`,
    );
  }
  if (config.socket === config.adminSocket) {
    found.push(`agent.socket and server.adminSocket are both ${config.socket}; they must differ`);
  }
  const names = Object.values(config.sdsNames);
  if (new Set(names).size < names.length) {
    found.push(`agent.sds: the three default names must differ; got ${names.join(', ')}`);
  }
  return found;
}

/** Flags win. They go through the same checks as the file; their errors name the flag. @throws TrustplaneError ERR_CONFIG */
export function mergeFlags(flags: ConfigFlags, file: ConfigFile): ConfigFile {
  const given = (name: string, value: unknown, wrap: (value: unknown) => unknown): ConfigFile => {
    if (value === undefined) return {};
    const result = configSchema.safeParse(wrap(value));
    if (result.success) return result.data;
    throw new TrustplaneError(
      'ERR_CONFIG',
      `--${name}: ${result.error.issues.map((issue) => issue.message).join('; ')}`,
    );
  };
  const layers = [
    file,
    given('trust-domain', flags.trustDomain, (trustDomain) => ({ trustDomain })),
    given('data-dir', absolute(flags.dataDir), (dataDir) => ({ server: { dataDir } })),
    given('admin-socket', absolute(flags.adminSocket), (adminSocket) => ({
      server: { adminSocket },
    })),
    given('bind-address', flags.bindAddress, (bindAddress) => ({ server: { bindAddress } })),
    given('data-dir', absolute(flags.agentDataDir), (dataDir) => ({ agent: { dataDir } })),
    given('cache-key-file', absolute(flags.cacheKeyFile), (keyFile) => ({
      agent: { cache: { keyFile } },
    })),
    given('server', flags.servers, (servers) => ({ agent: { servers } })),
    given('bundle-file', absolute(flags.bundleFile), (bundleFile) => ({
      agent: { bootstrap: { bundleFile } },
    })),
    given('insecure-bootstrap', flags.insecureBootstrap, (insecure) => ({
      agent: { bootstrap: { insecure } },
    })),
    given('join-token', flags.joinToken, (joinToken) => ({
      agent: { nodeAttestation: { joinToken } },
    })),
    given('socket', absolute(flags.socket), (socket) => ({ agent: { socket } })),
    given('x509-svid-ttl', flags.x509SvidTtl, (ttl) => ({ server: { x509Svid: { ttl } } })),
    given('ca-ttl', flags.caTtl, (ttl) => ({ server: { ca: { ttl } } })),
    given('log-level', flags.logLevel, (level) => ({ log: { level } })),
  ];
  return layers.reduce((left, right) => mergeDeep(left, right) as ConfigFile);
}

/** A relative path in a flag is relative to where the command runs. */
function absolute(file: string | undefined): string | undefined {
  return file === undefined ? undefined : path.resolve(file);
}

function mergeDeep(left: object, right: object): object {
  const merged: Record<string, unknown> = { ...left };
  for (const [key, value] of Object.entries(right)) {
    const before = merged[key];
    merged[key] = isPlain(before) && isPlain(value) ? mergeDeep(before, value) : value;
  }
  return merged;
}

function isPlain(value: unknown): value is object {
  return (
    typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
  );
}

function readConfigText(file: string): string {
  try {
    const { size } = statSync(file);
    if (size > MAX_CONFIG_BYTES) {
      throw new Error(`it has ${size} bytes; at most ${MAX_CONFIG_BYTES} are read`);
    }
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new TrustplaneError(
      'ERR_CONFIG_FILE',
      `the configuration file ${file} cannot be read: ${messageOf(error)}`,
      { cause: error },
    );
  }
}
