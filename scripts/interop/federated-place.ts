import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { encodePem } from '../../src/spiffe/index.ts';
import { makeAuthority } from '../../test/fakes/test-certificates.ts';
import { asPem, makeIdentity } from '../../test/fakes/tls-place.ts';
import { freePorts } from '../../test/programs/free-ports.ts';
import { launchServer } from '../../test/programs/launch-server.ts';
import { createRunFolder } from '../../test/programs/run-folder.ts';
import type { Spire } from '../../test/programs/spire/find-spire.ts';
import { createSpireAgent } from '../../test/programs/spire/launch-spire-agent.ts';
import { createSpireServer } from '../../test/programs/spire/launch-spire-server.ts';
import { createServerCommands } from '../../test/programs/spire/server-commands.ts';
import {
  createSpireWorkload,
  type SpireWorkload,
} from '../../test/programs/spire/spire-workload.ts';
import { type FederatedSide, ourSide, type Profile, spireSide } from './federated-side.ts';

/** SVIDs are renewed at half of their life. */
const SVID_SECONDS = 30;
/** What both endpoints ask of their readers. */
const REFRESH_HINT = '10s';

/** A trust domain that runs, and what its workloads reach. */
export interface FederatedDomain extends FederatedSide {
  /** Workload API and SDS. */
  readonly socket: string;
  readonly workload: SpireWorkload;
  /** Where its bundle is served. */
  readonly url: string;
}

/** a.test of `trustplane up` and b.test of SPIRE's server and agent, with no relationship yet. */
export interface FederatedPlace extends AsyncDisposable {
  readonly folder: string;
  readonly profile: Profile;
  readonly ours: FederatedDomain;
  readonly theirs: FederatedDomain;
  logs(): ReadonlyMap<string, readonly string[]>;
}

/** Starts both, each with a bundle endpoint of that profile. */
export async function openFederatedPlace(spire: Spire, profile: Profile): Promise<FederatedPlace> {
  await using opening = new AsyncDisposableStack();
  const run = createRunFolder();
  opening.defer(async () => await run.remove());
  const web = await createWebPki(run.path);
  const common = { spire, folder: run.path, profile, web };
  const ours = await launchOurs(common, opening);
  const theirs = await launchTheirs(common, opening);
  const stack = opening.move();
  return {
    folder: run.path,
    profile,
    ours: ours.domain,
    theirs: theirs.domain,
    logs: () => new Map([...ours.logs, ...theirs.logs]),
    [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
  };
}

interface Common {
  readonly spire: Spire;
  readonly folder: string;
  readonly profile: Profile;
  readonly web: WebPki;
}

/** PEM files. */
interface WebPki {
  readonly authorities: string;
  readonly certificate: string;
  readonly key: string;
}

interface Launched {
  readonly domain: FederatedDomain;
  readonly logs: ReadonlyMap<string, readonly string[]>;
}

async function launchOurs(
  { spire, folder: parent, profile, web }: Common,
  stack: AsyncDisposableStack,
): Promise<Launched> {
  const folder = await makeFolder(parent, 'a');
  const [port = 0] = await freePorts(1);
  const bundleEndpoint = {
    address: `127.0.0.1:${port}`,
    profile,
    leaveOutWitKeys: true,
    ...(profile === 'https_web' && { certificateFile: web.certificate, privateKeyFile: web.key }),
  };
  const config = {
    trustDomain: 'a.test',
    server: { x509Svid: { ttl: `${SVID_SECONDS}s` }, bundle: { refreshHint: REFRESH_HINT } },
    federation: { bundleEndpoint },
  };
  const server = await launchServer(folder, { role: 'up', config: JSON.stringify(config) });
  stack.defer(async () => void (await server.stop()));
  const socket = path.join(folder, 'agent.sock');
  return {
    domain: {
      ...ourSide('a.test', server, folder, web.authorities),
      socket,
      workload: createSpireWorkload(spire.agent, socket),
      url: urlOf(profile, port),
    },
    logs: new Map([['trustplane', server.log]]),
  };
}

async function launchTheirs(
  { spire, folder: parent, profile, web }: Common,
  stack: AsyncDisposableStack,
): Promise<Launched> {
  const folder = await makeFolder(parent, 'b');
  const [port = 0, bundlePort = 0] = await freePorts(2);
  const trustDomain = 'b.test';
  const server = await createSpireServer({
    program: spire.server,
    trustDomain,
    folder,
    port,
    caSeconds: 3_600,
    x509SvidSeconds: SVID_SECONDS,
    agentSeconds: SVID_SECONDS,
    webAuthorities: web.authorities,
    bundleEndpoint: {
      port: bundlePort,
      refreshHint: REFRESH_HINT,
      web: profile === 'https_web' ? web : undefined,
    },
  });
  await server.start();
  stack.defer(async () => void (await server.stop()));
  const admin = createServerCommands(spire.server, server.adminSocket);
  const bundle = path.join(folder, 'bundle.pem');
  await writeFile(bundle, await admin.run('bundle', 'show'));
  const agent = await createSpireAgent({
    program: spire.agent,
    trustDomain,
    folder: await makeFolder(folder, 'agent'),
    port,
    bundle,
    proof: { token: await admin.createToken('-spiffeID', 'spiffe://b.test/node') },
  });
  await agent.start();
  stack.defer(async () => void (await agent.stop()));
  return {
    domain: {
      ...spireSide(trustDomain, admin, folder),
      socket: agent.socket,
      workload: createSpireWorkload(spire.agent, agent.socket),
      url: urlOf(profile, bundlePort),
    },
    logs: new Map([
      ['SPIRE server', server.lines],
      ['SPIRE agent', agent.lines],
    ]),
  };
}

/** An SVID is for any address, a certificate of Web PKI for a name. */
function urlOf(profile: Profile, port: number): string {
  return `https://${profile === 'https_web' ? 'localhost' : '127.0.0.1'}:${port}/`;
}

/** An authority that only the two servers are told of, and a certificate for localhost. */
async function createWebPki(folder: string): Promise<WebPki> {
  const now = Date.now();
  const valid = { notBefore: now - 60_000, notAfter: now + 86_400_000, uris: [] };
  const root = await makeAuthority({ subject: 'CN=web', ...valid });
  const { cert, key } = asPem(await makeIdentity({ issuer: root, dns: ['localhost'], ...valid }));
  const file = (name: string): string => path.join(folder, name);
  await writeFile(file('web-ca.pem'), encodePem('CERTIFICATE', root.der));
  await writeFile(file('web.pem'), cert);
  await writeFile(file('web.key'), key, { mode: 0o600 });
  return {
    authorities: file('web-ca.pem'),
    certificate: file('web.pem'),
    key: file('web.key'),
  };
}

async function makeFolder(parent: string, name: string): Promise<string> {
  const folder = path.join(parent, name);
  await mkdir(folder);
  return folder;
}
