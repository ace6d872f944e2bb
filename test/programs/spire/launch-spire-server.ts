import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { eventually } from '../eventually.ts';
import { createRestartable, type Restartable } from '../restartable.ts';
import { createServerCommands } from './server-commands.ts';

export interface SpireServerOptions {
  readonly program: string;
  /** Configuration, keys, database and socket go here. */
  readonly folder: string;
  /** Free on 127.0.0.1. */
  readonly port: number;
  readonly caSeconds: number;
  readonly x509SvidSeconds: number;
  readonly agentSeconds: number;
  /** PEM file: nodes with certificates of these authorities may join. */
  readonly nodeAuthorities: string;
  readonly above?: Above | undefined;
}

/** A server above, and the Workload API with the SVID to call it with. */
export interface Above {
  /** On 127.0.0.1. */
  readonly port: number;
  readonly workloadApiSocket: string;
}

/** A SPIRE server for example.org with SQLite and keys on disk, not started yet. */
export async function createSpireServer(
  options: SpireServerOptions,
): Promise<Restartable & { readonly adminSocket: string }> {
  const adminSocket = path.join(options.folder, 'admin.sock');
  const file = path.join(options.folder, 'spire-server.conf');
  await writeFile(file, configuration(options, adminSocket));
  const { agents } = createServerCommands(options.program, adminSocket);
  const program = createRestartable({
    command: options.program,
    args: ['run', '-config', file],
    ready: async () =>
      await eventually('the SPIRE server answers', agents, {
        timeoutMs: 30_000,
        everyMs: 200,
      }),
  });
  return { ...program, adminSocket };
}

function configuration(options: SpireServerOptions, adminSocket: string): string {
  const { folder, port, caSeconds, x509SvidSeconds, agentSeconds, nodeAuthorities, above } =
    options;
  return `
server {
  bind_address = "127.0.0.1"
  bind_port = "${port}"
  socket_path = "${adminSocket}"
  trust_domain = "example.org"
  data_dir = "${folder}"
  log_level = "DEBUG"
  ca_ttl = "${caSeconds}s"
  default_x509_svid_ttl = "${x509SvidSeconds}s"
  agent_ttl = "${agentSeconds}s"
}
plugins {
  DataStore "sql" {
    plugin_data { database_type = "sqlite3", connection_string = "${folder}/datastore.sqlite3" }
  }
  KeyManager "disk" { plugin_data { keys_path = "${folder}/keys.json" } }
  NodeAttestor "join_token" { plugin_data {} }
  NodeAttestor "x509pop" { plugin_data { ca_bundle_path = "${nodeAuthorities}" } }
${above === undefined ? '' : upstreamAuthority(above)}}
`;
}

function upstreamAuthority({ port, workloadApiSocket }: Above): string {
  const server = `server_address = "127.0.0.1", server_port = "${port}"`;
  return `  UpstreamAuthority "spire" {
    plugin_data { ${server}, workload_api_socket = "${workloadApiSocket}" }
  }
`;
}
