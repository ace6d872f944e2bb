import { hostname } from 'node:os';
import path from 'node:path';
import { Command, Option } from 'commander';
import type { NatsPlaceOptions } from '../app/nats-files.ts';
import { SpiffeId, TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import { type Io, print } from './io.ts';
import { collect, count, type OutputOptions, withOutput } from './options.ts';

interface ConfigOptions extends OutputOptions {
  readonly trustDomain: string;
  readonly dir: string;
  readonly for: 'broadcast' | 'store';
  readonly listen: string;
  readonly serverName: string;
  readonly monitor?: string;
  readonly jetstreamDir?: string;
  readonly maxConnections: number;
  readonly clusterName?: string;
  readonly clusterListen?: string;
  readonly route?: readonly string[];
  readonly natsId?: string;
  readonly publisher?: readonly string[];
  readonly leafListen?: string;
  readonly leafNode?: readonly string[];
  readonly leafRemote?: readonly string[];
  readonly certFile?: string;
  readonly keyFile?: string;
  readonly caFile?: string;
  readonly nkey?: readonly string[];
}

const EXAMPLES = `
Examples:
  trustplane nats config --trust-domain example.org --dir /etc/nats
  trustplane nats config --trust-domain example.org --dir /etc/nats --server-name nats-1 \\
    --cluster-listen 0.0.0.0:6222 --route nats-1.example:6222 --route nats-2.example:6222
  trustplane nats config --trust-domain b.example --dir /etc/nats --leaf-remote nats.a.example:7422
  trustplane nats config --for store --trust-domain example.org --dir /etc/nats-store \\
    --cert-file /etc/pki/nats.pem --key-file /etc/pki/nats.key --ca-file /etc/pki/ca.pem --nkey UA4E…

For the broadcast the nats-server presents an SVID that \`trustplane nats follow\` keeps in the same
folder. Whoever has an SVID of this or a federated trust domain may subscribe; only --publisher may publish.
For the store certificates come from elsewhere: an outage may last longer than an SVID.`;

export function natsConfigCommand(io: Io): Command {
  return withOutput(new Command('config'))
    .description('Write the configuration of a nats-server: nats-server.conf in a folder.')
    .requiredOption('--trust-domain <name>', 'trust domain whose nats-server it is')
    .requiredOption('--dir <folder>', 'folder of its configuration and keys')
    .addOption(
      new Option('--for <purpose>', 'what it carries')
        .choices(['broadcast', 'store'])
        .default('broadcast'),
    )
    .option('--listen <address>', 'host and port for clients', '0.0.0.0:4222')
    .option('--server-name <name>', 'unique among all nats-servers', hostname())
    .option('--monitor <address>', 'host and port of monitoring over HTTP (default: none)')
    .option('--jetstream-dir <folder>', 'where streams are kept (default: jetstream in the folder)')
    .option('--max-connections <n>', 'of clients', count(1), 65_536)
    .option('--cluster-listen <address>', 'host and port for other servers of its cluster')
    .option('--cluster-name <name>', 'the same for all of them (default: the trust domain)')
    .option(
      '--route <address>',
      'host and port where one of them listens, may be repeated',
      collect,
    )
    .option('--nats-id <id>', 'SPIFFE ID of all of them (default: spiffe://<trust domain>/nats)')
    .option(
      '--publisher <id>',
      'SPIFFE ID that may publish, may be repeated (default: spiffe://<trust domain>/spire/server)',
      collect,
    )
    .option('--leaf-listen <address>', 'host and port where leaf nodes dial in')
    .option('--leaf-node <id>', 'SPIFFE ID of a leaf node that may, may be repeated', collect)
    .option(
      '--leaf-remote <address>',
      'host and port it dials as a leaf node, may be repeated',
      collect,
    )
    .option('--cert-file <file>', 'for the store: PEM file of its certificate')
    .option('--key-file <file>', 'for the store: PEM file of its private key')
    .option('--ca-file <file>', 'for the store: PEM file of the authorities of clients and servers')
    .option(
      '--nkey <key>',
      'for the store: public NKEY of a trustplane server, may be repeated',
      collect,
    )
    .addHelpText('after', EXAMPLES)
    .action((options: ConfigOptions) => writeConfig(io, options));
}

async function writeConfig(io: Io, options: ConfigOptions): Promise<void> {
  const file = await (options.for === 'store' ? writeStore(options) : writeBroadcast(options));
  print(io, options.output, { file }, `wrote ${file}`);
}

async function writeBroadcast(options: ConfigOptions): Promise<string> {
  refuse(options, ['certFile', 'keyFile', 'caFile', 'nkey'], '--for store');
  const { natsId, publisher = [], leafListen, leafNode = [], leafRemote = [] } = options;
  if ((leafListen === undefined) !== (leafNode.length === 0))
    throw usage('--leaf-listen and --leaf-node say nothing without each other');
  const twice = leafNode.find((id) => publisher.includes(id));
  if (twice !== undefined) throw usage(`${twice} is either a --publisher or a --leaf-node`);
  const { writeBroadcastConfig } = await import('../app/nats-files.ts');
  return await writeBroadcastConfig({
    ...placeOf(options),
    trustDomain: TrustDomain.parse(options.trustDomain),
    natsId: natsId === undefined ? undefined : SpiffeId.parse(natsId),
    publishers: publisher.map((id) => SpiffeId.parse(id)),
    leaf:
      leafListen === undefined
        ? undefined
        : {
            listen: listenAddress('--leaf-listen', leafListen),
            nodes: leafNode.map((id) => SpiffeId.parse(id)),
          },
    leafRemotes: leafRemote.map((remote) => listenAddress('--leaf-remote', remote)),
  });
}

async function writeStore(options: ConfigOptions): Promise<string> {
  refuse(
    options,
    ['natsId', 'publisher', 'leafListen', 'leafNode', 'leafRemote'],
    '--for broadcast',
  );
  const { certFile, keyFile, caFile, nkey = [] } = options;
  if (certFile === undefined || keyFile === undefined || caFile === undefined)
    throw usage('--for store takes --cert-file, --key-file and --ca-file');
  if (nkey.length === 0) throw usage('--for store takes the --nkey of each trustplane server');
  const bad = nkey.find((key) => !/^U[A-Z2-7]{55}$/u.test(key));
  if (bad !== undefined) throw usage('--nkey is a public NKEY of a user: U and 55 more characters');
  const { writeStoreConfig } = await import('../app/nats-files.ts');
  const [cert, key, ca] = [certFile, keyFile, caFile].map((file) => path.resolve(file));
  const files = { certFile: cert ?? '', keyFile: key ?? '', caFile: ca ?? '' };
  return await writeStoreConfig({ ...placeOf(options), files, nkeys: nkey });
}

function placeOf(options: ConfigOptions): NatsPlaceOptions {
  const { monitor, jetstreamDir, clusterListen, route = [] } = options;
  const { name } = TrustDomain.parse(options.trustDomain);
  if (clusterListen === undefined && (route.length > 0 || options.clusterName !== undefined))
    throw usage('--route and --cluster-name say nothing without --cluster-listen');
  return {
    folder: path.resolve(options.dir),
    serverName: token('--server-name', options.serverName),
    listen: listenAddress('--listen', options.listen),
    monitor: monitor === undefined ? undefined : listenAddress('--monitor', monitor),
    jetStreamFolder: jetstreamDir === undefined ? undefined : path.resolve(jetstreamDir),
    maxConnections: options.maxConnections,
    cluster:
      clusterListen === undefined
        ? undefined
        : {
            name: token('--cluster-name', options.clusterName ?? name),
            listen: listenAddress('--cluster-listen', clusterListen),
            routes: route.map((one) => listenAddress('--route', one)),
          },
  };
}

function listenAddress(flag: string, text: string): string {
  const match = /^(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]+\]):([1-9][0-9]{0,4})$/u.exec(text);
  if (match !== null && Number(match[1]) <= 65_535) return text;
  throw usage(`${flag} is a host and port such as 0.0.0.0:4222, got ${JSON.stringify(text)}`);
}

/** nats-server takes no spaces in names. */
function token(flag: string, text: string): string {
  if (/^[A-Za-z0-9._-]{1,255}$/u.test(text)) return text;
  throw usage(`${flag} has letters, digits, ".", "_" and "-", got ${JSON.stringify(text)}`);
}

function refuse(
  options: ConfigOptions,
  names: readonly (keyof ConfigOptions)[],
  where: string,
): void {
  const given = names.find((name) => options[name] !== undefined);
  if (given === undefined) return;
  const flag = given.replaceAll(/[A-Z]/gu, (letter) => `-${letter.toLowerCase()}`);
  throw usage(`--${flag} belongs to ${where}`);
}

function usage(message: string): TrustplaneError {
  return new TrustplaneError('ERR_USAGE', message);
}
