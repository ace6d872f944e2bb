import { KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { makeAuthority, makeCertificate } from '../../fakes/test-certificates.ts';
import type { Restartable } from '../restartable.ts';
import { createRunFolder } from '../run-folder.ts';
import type { Spire } from './find-spire.ts';
import { createOurAgent, createOurServer } from './launch-ours.ts';
import { createSpireAgent, type NodeProof } from './launch-spire-agent.ts';
import { type Above, createSpireServer } from './launch-spire-server.ts';
import { createServerCommands, type ServerCommands } from './server-commands.ts';

/** Who wrote a program. */
export type Maker = 'trustplane' | 'spire';

/** Who wrote which side. */
export interface Makers {
  readonly server: Maker;
  readonly agent: Maker;
}

/** Lives of certificates, in seconds. */
export interface Lives {
  readonly caSeconds: number;
  readonly x509SvidSeconds: number;
  readonly agentSeconds: number;
}

/** A server of one maker that agents of the other may join. */
export interface InteropPlace extends AsyncDisposable {
  readonly folder: string;
  readonly spire: Spire;
  readonly makers: Makers;
  readonly lives: Lives;
  /** Where agents reach the server, on 127.0.0.1. */
  readonly port: number;
  readonly server: Restartable;
  /** SPIRE's own command line, at the server's admin socket. */
  readonly admin: ServerCommands;
  /** An agent that joins as `proof` says, not started yet; its name is that of its folder. */
  createAgent(name: string, proof: NodeProof): Promise<InteropAgent>;
  /** A certificate that x509pop accepts. */
  createNodeCertificate(commonName: string): Promise<NodeProof>;
  /** What the server and every agent have logged, by their names. */
  logs(): ReadonlyMap<string, readonly string[]>;
}

export interface InteropAgent extends Restartable {
  /** Of the Workload API and SDS. */
  readonly socket: string;
}

/** Starts the server, below another one where `above` says so; resolves when it serves. */
export async function openInteropPlace(
  spire: Spire,
  makers: Makers,
  lives: Lives,
  above?: Above,
): Promise<InteropPlace> {
  await using opening = new AsyncDisposableStack();
  const run = createRunFolder();
  opening.defer(async () => await run.remove());
  const folder = run.path;
  const pki = await createNodePki(folder);
  const port = await freePort();
  const serverFolder = await makeFolder(folder, 'server');
  const nodeAuthorities = pki.authorities;
  const options = { folder: serverFolder, port, ...lives, nodeAuthorities, above };
  const server =
    makers.server === 'spire'
      ? await createSpireServer({ program: spire.server, ...options })
      : await createOurServer(options);
  await server.start();
  opening.defer(async () => void (await server.stop()));
  const admin = createServerCommands(spire.server, server.adminSocket);
  const bundle = path.join(folder, 'bundle.pem');
  await writeFile(bundle, await admin.run('bundle', 'show'));
  const logs = new Map([['server', server.lines]]);
  const stack = opening.move();
  return {
    folder,
    spire,
    makers,
    lives,
    port,
    server,
    admin,
    async createAgent(name, proof) {
      const agentOptions = { folder: await makeFolder(folder, name), port, bundle, proof };
      const agent =
        makers.agent === 'spire'
          ? await createSpireAgent({ program: spire.agent, ...agentOptions })
          : await createOurAgent(agentOptions);
      logs.set(name, agent.lines);
      stack.defer(async () => void (await agent.stop().catch(() => {})));
      return agent;
    },
    createNodeCertificate: pki.createNode,
    logs: () => logs,
    [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
  };
}

/** Authorities that know nothing of SPIFFE, for x509pop. */
async function createNodePki(folder: string) {
  const now = Date.now();
  const valid = { notBefore: now - 60_000, notAfter: now + 86_400_000 };
  const root = await makeAuthority({ subject: 'CN=nodes', uris: [], ...valid });
  const authorities = path.join(folder, 'nodes.pem');
  await writeFile(authorities, toPem('CERTIFICATE', root.der));
  return {
    authorities,
    async createNode(commonName: string): Promise<NodeProof> {
      const plain = { uris: [], extendedKeyUsage: null, issuer: root, ...valid };
      const { der, keys } = await makeCertificate({ subject: `CN=${commonName}`, ...plain });
      const pkcs8 = KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'der' });
      const certificate = path.join(folder, `${commonName}.pem`);
      const key = path.join(folder, `${commonName}.key`);
      await writeFile(certificate, toPem('CERTIFICATE', der));
      await writeFile(key, toPem('PRIVATE KEY', pkcs8), { mode: 0o600 });
      return { certificate, key };
    },
  };
}

function toPem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/gu) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}

async function makeFolder(parent: string, name: string): Promise<string> {
  const folder = path.join(parent, name);
  await mkdir(folder, { recursive: true });
  return folder;
}

/** SPIRE's configuration wants to know the port beforehand. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
