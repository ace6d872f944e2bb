import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type AuthorityClient, createAuthorityClient } from '../../src/client/index.ts';
import { type LaunchedAgent, startAgent, writeBundle } from './launch-agent.ts';
import { createNatsProgram, type NatsProgram } from './launch-nats-server.ts';
import { type LaunchedServer, launchServer, program } from './launch-server.ts';
import { runTrustplane } from './launch-trustplane.ts';
import { spawnTied } from './tied-child.ts';

/** How a trust domain is set up. */
export interface DomainOptions {
  /** Such as `a.test`. */
  readonly name: string;
  /** Holds all its sockets and data. */
  readonly folder: string;
  /** Port of its nats-server. */
  readonly natsPort: number;
  /** More flags of `nats config`: who joins whom. */
  readonly natsFlags: readonly string[];
  /** Life of X509-SVIDs, such as `5s`; default 1 h. */
  readonly x509SvidTtl?: string;
  /** How often others poll the bundle; default as rarely as `1h`. */
  readonly refreshHint?: string;
}

/** A trust domain that federates: a server, an agent, and the nats-server of both. */
export interface Domain extends AsyncDisposable {
  readonly name: string;
  readonly folder: string;
  readonly server: LaunchedServer;
  readonly agent: LaunchedAgent;
  readonly nats: NatsProgram;
  readonly authorities: AuthorityClient;
  /** Tells the server where the bundle of the other is served, and what it is now. */
  federateWith(other: Domain): Promise<void>;
  /** Creates the entry of a workload of this user below the agent. */
  createEntry(spiffeId: string, ...flags: readonly string[]): Promise<void>;
  /** Starts the nats-server, which has an entry, and all that follows it. */
  startNats(): Promise<void>;
}

/** Starts server and agent, which is joined; nothing waits for the nats-server. */
export async function launchDomain(options: DomainOptions): Promise<Domain> {
  const { name, folder, natsPort, natsFlags, x509SvidTtl = '1h', refreshHint = '1h' } = options;
  await using starting = new AsyncDisposableStack();
  mkdirSync(folder, { recursive: true });
  const at = (file: string): string => path.join(folder, file);
  const natsId = `spiffe://${name}/nats`;
  const natsUrl = `tls://127.0.0.1:${natsPort}`;
  const nats = `nats: { servers: ['${natsUrl}'], serverId: '${natsId}' }`;
  const server = await launchServer(folder, {
    config: `trustDomain: ${name}
server: { x509Svid: { ttl: ${x509SvidTtl} }, bundle: { refreshHint: ${refreshHint} } }
federation: { bundleEndpoint: { address: '127.0.0.1:0' }, ${nats} }
`,
  });
  starting.defer(async () => void (await server.stop()));
  const authorities = createAuthorityClient(server.adminSocket);
  starting.defer(() => authorities.close());
  const trusted = ['--bundle-file', await writeBundle(folder, server)];
  const agent = startAgent(folder, {
    servers: [`127.0.0.1:${server.port}`],
    config: `trustDomain: ${name}\nfederation: { ${nats} }\n`,
    flags: [...trusted, '--join-token', await server.makeToken()],
  });
  starting.defer(async () => void (await agent.stop()));
  const agentId = await agent.id;
  const where = ['--trust-domain', name, '--dir', at('nats'), '--server-name', `nats-${name[0]}`];
  const listen = ['--listen', `127.0.0.1:${natsPort}`];
  await run('nats', 'config', ...where, ...listen, ...natsFlags);
  const natsServer = await createNatsProgram(at('nats/nats-server.conf'));
  const stack = starting.move();
  return {
    name,
    folder,
    server,
    agent,
    nats: natsServer,
    authorities,
    async federateWith(other) {
      const bundle = at(`${other.name}.json`);
      await writeSpiffeBundle(other, bundle);
      const { bundleEndpoint } = await other.server.ask('status');
      const whom = ['--trust-domain', other.name, '--bundle-endpoint-url', bundleEndpoint.url];
      const how = ['--bundle-endpoint-profile', 'https_spiffe', '--await-ack'];
      const id = ['--endpoint-spiffe-id', `spiffe://${other.name}/spire/server`];
      const first = [
        '--trust-domain-bundle-format',
        'spiffe',
        '--trust-domain-bundle-path',
        bundle,
      ];
      await server.ask('federation', 'create', ...whom, ...how, ...id, ...first);
    },
    async createEntry(spiffeId, ...flags) {
      const whose = ['--parent-id', agentId, '--selector', `unix:uid:${process.getuid?.() ?? 0}`];
      await server.ask('entry', 'create', '--spiffe-id', spiffeId, ...whose, ...flags);
    },
    async startNats() {
      const follow = ['nats', 'follow', '--dir', at('nats'), '--socket', agent.socket];
      const own = [...follow, '--spiffe-id', natsId];
      await run(...own, '--once');
      await natsServer.start();
      stack.defer(async () => await natsServer[Symbol.asyncDispose]());
      const pidFile = ['--pid-file', at('nats/nats-server.pid')];
      const following = spawnTied(process.execPath, [program, ...own, ...pidFile]);
      stack.defer(async () => void (await following.stop()));
      await Promise.all([server, agent].map((one) => one.line('"connected to NATS"')));
    },
    [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
  };
}

async function writeSpiffeBundle({ server }: Domain, file: string): Promise<void> {
  const show = ['bundle', 'show', '--format', 'spiffe', '--admin-socket', server.adminSocket];
  writeFileSync(file, await run(...show));
}

async function run(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runTrustplane(...args);
  if (code !== 0) throw new Error(`trustplane ${args.join(' ')} ended with ${code}: ${stderr}`);
  return stdout;
}
