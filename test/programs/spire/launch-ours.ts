import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createRestartable, type Restartable } from '../restartable.ts';
import type { TiedChild } from '../tied-child.ts';
import type { NodeProof } from './launch-spire-agent.ts';
import type { Above } from './launch-spire-server.ts';

const program = path.join(import.meta.dirname, '..', '..', '..', 'bin', 'trustplane.js');

export interface OurServerOptions {
  readonly folder: string;
  readonly port: number;
  readonly caSeconds: number;
  readonly x509SvidSeconds: number;
  readonly agentSeconds: number;
  readonly nodeAuthorities: string;
  readonly above?: Above | undefined;
}

/** `trustplane server run` for example.org, not started yet. */
export async function createOurServer(
  options: OurServerOptions,
): Promise<Restartable & { readonly adminSocket: string }> {
  const { folder, port, caSeconds, x509SvidSeconds, agentSeconds, nodeAuthorities, above } =
    options;
  const adminSocket = path.join(folder, 'admin.sock');
  const file = path.join(folder, 'trustplane.yaml');
  const configuration = {
    trustDomain: 'example.org',
    server: {
      dataDir: path.join(folder, 'data'),
      adminSocket,
      bindAddress: `127.0.0.1:${port}`,
      nodeAttestors: { x509pop: { caBundle: nodeAuthorities } },
      ca: { ttl: `${caSeconds}s`, ...(above && { upstream: { spire: upstreamOf(above) } }) },
      x509Svid: { ttl: `${x509SvidSeconds}s` },
      // An authority waits for those who poll: three times, or two, as long as they are asked to.
      bundle: { refreshHint: '1s' },
      agentSvid: { ttl: `${agentSeconds}s` },
    },
    log: { level: 'debug' },
  };
  await writeFile(file, JSON.stringify(configuration));
  const args = ['server', 'run', '--config', file, '--output', 'json'];
  return { ...launchable(args), adminSocket };
}

function upstreamOf({ port, workloadApiSocket }: Above): object {
  return { servers: [`127.0.0.1:${port}`], workloadApiSocket };
}

export interface OurAgentOptions {
  readonly folder: string;
  /** Of the server, on 127.0.0.1. */
  readonly port: number;
  readonly bundle: string;
  readonly proof: NodeProof;
}

/** `trustplane agent run`, not started yet. */
export async function createOurAgent(
  options: OurAgentOptions,
): Promise<Restartable & { readonly socket: string }> {
  const { folder, port, bundle, proof } = options;
  const socket = path.join(folder, 'agent.sock');
  const file = path.join(folder, 'trustplane.yaml');
  const configuration = {
    trustDomain: 'example.org',
    agent: {
      dataDir: path.join(folder, 'data'),
      cache: { keyFile: path.join(folder, 'cache.key') },
      socket,
      servers: [`127.0.0.1:${port}`],
      bootstrap: { bundleFile: bundle },
      nodeAttestation: nodeAttestation(proof),
    },
    log: { level: 'debug' },
  };
  await writeFile(file, JSON.stringify(configuration));
  return { ...launchable(['agent', 'run', '--config', file, '--output', 'json']), socket };
}

function nodeAttestation(proof: NodeProof): object {
  if ('token' in proof) return { joinToken: proof.token };
  return { x509pop: { certificateFile: proof.certificate, privateKeyFile: proof.key } };
}

function launchable(args: readonly string[]): Restartable {
  return createRestartable({
    command: process.execPath,
    args: [program, ...args],
    ready: async (child) => await readyLine(child),
  });
}

async function readyLine(child: TiedChild): Promise<void> {
  await new Promise<void>((resolve) => {
    child.onLine((line) => {
      if (line.startsWith('{"ready":true')) resolve();
    });
  });
}
