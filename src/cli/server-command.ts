import { Command } from 'commander';
import { defaultPaths } from '../app/default-paths.ts';
import { TrustplaneError } from '../spiffe/errors.ts';
import type { Io, OutputFormat } from './io.ts';
import { withOutput } from './options.ts';
import { formatAddress } from './ready-text.ts';
import { serveUntilStopped } from './serve-until-stopped.ts';
import { serverListCommand } from './server-list-command.ts';
import { stopSignal } from './stop-signal.ts';

interface ServerOptions {
  readonly output: OutputFormat;
  readonly config?: string;
  readonly trustDomain?: string;
  readonly dataDir?: string;
  readonly adminSocket?: string;
  readonly bindAddress?: string;
  readonly x509SvidTtl?: string;
  readonly caTtl?: string;
  readonly logLevel?: string;
}

const EXAMPLES = `
Examples:
  trustplane server run --trust-domain prod.example --bind-address 0.0.0.0:8081
  trustplane server run --config trustplane.yaml      flags win over the file
  trustplane token generate                           what the first agent joins with`;

export function serverCommand(io: Io): Command {
  return new Command('server')
    .description('Run a server for agents on other hosts, or list those of its control plane.')
    .addHelpText('after', EXAMPLES)
    .addCommand(runCommand(io))
    .addCommand(serverListCommand(io));
}

function runCommand(io: Io): Command {
  const { dataDir, adminSocket } = defaultPaths(io.uid, io.env);
  const command = new Command('run')
    .description('Run the server: agents attest over TLS, administrators use the admin socket.')
    .option('--config <file>', 'configuration file (YAML)')
    .option('--trust-domain <name>', 'trust domain (default: example.org)')
    .option('--data-dir <path>', `database and sealed keys (default: ${dataDir})`)
    .option('--bind-address <address>', 'IP address and port for agents (default: 127.0.0.1:8081)')
    .option('--admin-socket <path>', `Unix socket of the server API (default: ${adminSocket})`)
    .option(
      '--x509-svid-ttl <duration>',
      'life of an X509-SVID (default: 1h, or a sixth of --ca-ttl)',
    )
    .option('--ca-ttl <duration>', 'life of an X.509 authority (default: 24h)')
    .option('--log-level <level>', 'trace, debug, info, warn, error or fatal (default: info)')
    .addHelpText('after', EXAMPLES)
    .action((options: ServerOptions) => runServer(io, options));
  return withOutput(command);
}

async function runServer(io: Io, options: ServerOptions): Promise<void> {
  const [{ loadConfig }, { openFallbackFolder }, { createProcess }, { startServer }] =
    await Promise.all([
      import('../app/load-config.ts'),
      import('../app/fallback-folder.ts'),
      import('../app/process.ts'),
      import('../app/server-run.ts'),
    ]);
  const load = () => loadConfig(options, io.uid, io.env);
  const loaded = load();
  const { config } = loaded;
  openFallbackFolder(io.uid, [config.dataDir, config.adminSocket]);
  const reloads = options.config !== undefined;
  const stop = stopSignal({ reloads });
  const served = createProcess(config.logLevel);
  // A server that joins others may wait for long before it serves.
  void stop.then(() => served.fail(stoppedEarly()));
  const server = await startServer(config, served);
  const { trustDomain, adminSocket, dataDir } = config;
  const address = formatAddress(server.address);
  const { pid } = process;
  const url = server.bundleEndpoint?.url;
  const ready = {
    ready: true,
    pid,
    trustDomain: trustDomain.name,
    address,
    adminSocket,
    dataDir,
    ...(url !== undefined && { bundleEndpoint: url }),
  };
  io.out(
    options.output === 'json'
      ? `${JSON.stringify(ready)}\n`
      : [
          `trustplane is ready for the trust domain ${trustDomain.name}`,
          `  agents          ${address}`,
          `  server API      unix://${adminSocket}`,
          ...(url === undefined ? [] : [`  bundle endpoint ${url}`]),
          `  data directory  ${dataDir}`,
          '',
        ].join('\n'),
  );
  await serveUntilStopped(server, stop, loaded, reloads ? load : undefined);
}

function stoppedEarly(): TrustplaneError {
  return new TrustplaneError('ERR_SHUTTING_DOWN', 'stopped before it served');
}
