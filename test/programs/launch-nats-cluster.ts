import { freePorts } from './free-ports.ts';
import type { NatsServer, NatsServerOptions } from './launch-nats-server.ts';
import { launchNatsServer } from './launch-nats-server.ts';
import type { NetworkHost } from './network-hosts.ts';

/** Several nats-servers that are one, with streams that every one of them may hold. */
export interface NatsCluster extends AsyncDisposable {
  readonly servers: readonly NatsServer[];
  /** Of all of them. */
  readonly urls: readonly string[];
  /** Where a leaf node dials in, one per server; empty without `leafNodes`. */
  readonly leafUrls: readonly string[];
}

/** Options of `launchNatsCluster`. */
export interface NatsClusterOptions {
  /** Also the prefix of the servers' names, `<name>-1` and so on; default `nats`. */
  readonly name?: string;
  /** Default 3. */
  readonly size?: number;
  /** More configuration for each. */
  readonly config?: string;
  /** Default true. */
  readonly jetStream?: NatsServerOptions['jetStream'];
  /** One host per server, in order; default this one. */
  readonly hosts?: readonly NetworkHost[];
  /** Whether leaf nodes may dial in; default false. */
  readonly leafNodes?: boolean;
  /** Clusters' leaf URLs that this one dials. */
  readonly remotes?: readonly string[];
}

/** Starts them joined by routes; resolves when they have a leader and each of them knows it. */
export async function launchNatsCluster(options: NatsClusterOptions = {}): Promise<NatsCluster> {
  const { name = 'nats', size = 3, jetStream = true, remotes = [] } = options;
  const addresses = Array.from(
    { length: size },
    (_, n) => options.hosts?.[n]?.address ?? '127.0.0.1',
  );
  const routePorts = await freePorts(size);
  const leafPorts = options.leafNodes === true ? await freePorts(size) : [];
  const routes = routePorts.map((port, n) => `"nats://${addresses[n]}:${port}"`).join(', ');
  await using launching = new AsyncDisposableStack();
  const servers = await Promise.all(
    routePorts.map(async (port, n) => {
      const address = addresses[n];
      const leafPort = leafPorts[n];
      const config = [
        `cluster { name: ${name}, listen: "${address}:${port}", routes: [${routes}] }`,
        'leafnodes {',
        leafPort === undefined ? '' : `  listen: "${address}:${leafPort}"`,
        remotes.length === 0 ? '' : `  remotes: [{ urls: ${JSON.stringify(remotes)} }]`,
        '}',
        options.config ?? '',
      ];
      const host = options.hosts?.[n];
      return launching.use(
        await launchNatsServer({
          name: `${name}-${n + 1}`,
          config: config.join('\n'),
          jetStream,
          ...(host === undefined ? {} : { host }),
        }),
      );
    }),
  );
  if (jetStream !== false) await Promise.all(servers.map(knowsLeader));
  const stack = launching.move();
  return {
    servers,
    urls: servers.map((each) => each.url),
    leafUrls: leafPorts.map((port, n) => `nats://${addresses[n]}:${port}`),
    [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
  };
}

async function knowsLeader(server: NatsServer): Promise<void> {
  await server.line(/new (JetStream cluster )?metadata leader/);
}
