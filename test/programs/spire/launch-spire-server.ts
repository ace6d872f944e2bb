import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { eventually } from '../eventually.ts';
import { createRestartable, type Restartable } from '../restartable.ts';
import { spawnTied } from '../tied-child.ts';
import { createServerCommands } from './server-commands.ts';

export interface SpireServerOptions {
  readonly program: string;
  /** Default example.org. */
  readonly trustDomain?: string;
  /** Configuration, keys, database and socket go here. */
  readonly folder: string;
  /** Free on 127.0.0.1. */
  readonly port: number;
  readonly caSeconds: number;
  readonly x509SvidSeconds: number;
  readonly agentSeconds: number;
  /** PEM file: nodes with certificates of these authorities may join. */
  readonly nodeAuthorities?: string;
  readonly above?: Above | undefined;
  readonly bundleEndpoint?: SpireBundleEndpoint;
  /** PEM file of the authorities that stand for Web PKI; default those of the system. */
  readonly webAuthorities?: string;
}

/** Where its bundle is served. */
export interface SpireBundleEndpoint {
  /** Free on 127.0.0.1. */
  readonly port: number;
  readonly refreshHint: string;
  /** PEM files of a certificate of Web PKI; without them its SVID. */
  readonly web: { readonly certificate: string; readonly key: string } | undefined;
}

/** A server above, and the Workload API with the SVID to call it with. */
export interface Above {
  /** On 127.0.0.1. */
  readonly port: number;
  readonly workloadApiSocket: string;
}

/** A SPIRE server with SQLite and keys on disk, not started yet. */
export async function createSpireServer(
  options: SpireServerOptions,
): Promise<Restartable & { readonly adminSocket: string }> {
  const adminSocket = path.join(options.folder, 'admin.sock');
  const file = path.join(options.folder, 'spire-server.conf');
  await writeFile(file, configuration(options, adminSocket));
  const { agents } = createServerCommands(options.program, adminSocket);
  const { webAuthorities } = options;
  const env = { ...process.env, ...(webAuthorities && { SSL_CERT_FILE: webAuthorities }) };
  const program = createRestartable({
    command: options.program,
    args: ['run', '-config', file],
    spawn: (command, args) => spawnTied(command, args, { env }),
    ready: async () =>
      await eventually('the SPIRE server answers', agents, {
        timeoutMs: 30_000,
        everyMs: 200,
      }),
  });
  return { ...program, adminSocket };
}

function configuration(options: SpireServerOptions, adminSocket: string): string {
  const { folder, port, trustDomain = 'example.org', nodeAuthorities, above } = options;
  const { caSeconds, x509SvidSeconds, agentSeconds, bundleEndpoint } = options;
  return `
server {
  bind_address = "127.0.0.1"
  bind_port = "${port}"
  socket_path = "${adminSocket}"
  trust_domain = "${trustDomain}"
  data_dir = "${folder}"
  log_level = "DEBUG"
  ca_ttl = "${caSeconds}s"
  default_x509_svid_ttl = "${x509SvidSeconds}s"
  agent_ttl = "${agentSeconds}s"
${bundleEndpoint === undefined ? '' : federation(bundleEndpoint)}}
plugins {
  DataStore "sql" {
    plugin_data { database_type = "sqlite3", connection_string = "${folder}/datastore.sqlite3" }
  }
  KeyManager "disk" { plugin_data { keys_path = "${folder}/keys.json" } }
  NodeAttestor "join_token" { plugin_data {} }
${nodeAuthorities === undefined ? '' : x509pop(nodeAuthorities)}${above === undefined ? '' : upstreamAuthority(above)}}
`;
}

function x509pop(authorities: string): string {
  return `  NodeAttestor "x509pop" { plugin_data { ca_bundle_path = "${authorities}" } }
`;
}

function federation({ port, refreshHint, web }: SpireBundleEndpoint): string {
  return `  federation {
    bundle_endpoint {
      address = "127.0.0.1"
      port = ${port}
      refresh_hint = "${refreshHint}"
      profile ${web === undefined ? '"https_spiffe" {}' : `"https_web" { ${servingFiles(web)} }`}
    }
  }
`;
}

/** Without the interval, which is said to be 1 h by default, SPIRE 1.15.3 does not start. */
function servingFiles({ certificate, key }: NonNullable<SpireBundleEndpoint['web']>): string {
  const files = `cert_file_path = "${certificate}", key_file_path = "${key}"`;
  return `serving_cert_file { ${files}, file_sync_interval = "1h" }`;
}

function upstreamAuthority({ port, workloadApiSocket }: Above): string {
  const server = `server_address = "127.0.0.1", server_port = "${port}"`;
  return `  UpstreamAuthority "spire" {
    plugin_data { ${server}, workload_api_socket = "${workloadApiSocket}" }
  }
`;
}
