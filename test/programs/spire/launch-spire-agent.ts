import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { eventually } from '../eventually.ts';
import { createRestartable, type Restartable } from '../restartable.ts';
import { runProgram } from '../run-program.ts';

/** How a node proves who it is. */
export type NodeProof =
  | { readonly token: string }
  /** PEM files. */
  | { readonly certificate: string; readonly key: string };

export interface SpireAgentOptions {
  readonly program: string;
  /** Default example.org. */
  readonly trustDomain?: string;
  /** Configuration, keys and data go here, the socket into `public` below. */
  readonly folder: string;
  /** Of the server, on 127.0.0.1. */
  readonly port: number;
  /** PEM file that vouches for the server. */
  readonly bundle: string;
  readonly proof: NodeProof;
}

/** A SPIRE agent that asks its server every second, not started yet. */
export async function createSpireAgent(
  options: SpireAgentOptions,
): Promise<Restartable & { readonly socket: string }> {
  const { folder, program, proof } = options;
  const socket = path.join(folder, 'public', 'agent.sock');
  await mkdir(path.dirname(socket), { recursive: true });
  const file = path.join(folder, 'spire-agent.conf');
  await writeFile(file, configuration(options, socket));
  const token = 'token' in proof ? ['-joinToken', proof.token] : [];
  const agent = createRestartable({
    command: program,
    args: ['run', '-config', file, ...token],
    ready: async () => await eventually('the SPIRE agent is healthy', () => isHealthy(), atLast),
  });
  const isHealthy = async () => {
    const { code } = await runProgram(program, ['healthcheck', '-socketPath', socket]);
    return code === 0 || undefined;
  };
  return { ...agent, socket };
}

const atLast = { timeoutMs: 30_000, everyMs: 200 };

function configuration(options: SpireAgentOptions, socket: string): string {
  const { folder, port, trustDomain = 'example.org', bundle, proof } = options;
  return `
agent {
  data_dir = "${folder}"
  log_level = "DEBUG"
  server_address = "127.0.0.1"
  server_port = "${port}"
  socket_path = "${socket}"
  trust_domain = "${trustDomain}"
  trust_bundle_path = "${bundle}"
  experimental { sync_interval = "1s" }
}
plugins {
  ${nodeAttestor(proof)}
  KeyManager "disk" { plugin_data { directory = "${folder}" } }
  WorkloadAttestor "unix" { plugin_data {} }
}
`;
}

function nodeAttestor(proof: NodeProof): string {
  if ('token' in proof) return 'NodeAttestor "join_token" { plugin_data {} }';
  const { certificate, key } = proof;
  return `NodeAttestor "x509pop" {
    plugin_data { certificate_path = "${certificate}", private_key_path = "${key}" }
  }`;
}
