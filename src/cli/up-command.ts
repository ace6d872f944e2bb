import { Command } from 'commander';
import { defaultPaths } from '../app/default-paths.ts';
import type { Io, OutputFormat } from './io.ts';
import { withOutput } from './options.ts';
import { formatAddress, formatReady } from './ready-text.ts';
import { serveUntilStopped } from './serve-until-stopped.ts';
import { stopSignal } from './stop-signal.ts';

interface UpOptions {
  readonly output: OutputFormat;
  readonly config?: string;
  readonly trustDomain?: string;
  readonly dataDir?: string;
  readonly socket?: string;
  readonly adminSocket?: string;
  readonly bindAddress?: string;
  readonly x509SvidTtl?: string;
  readonly caTtl?: string;
  readonly logLevel?: string;
}

const EXAMPLES = `
Examples:
  trustplane up
  trustplane up --trust-domain prod.example --data-dir /srv/trustplane
  trustplane up --x509-svid-ttl 5s --ca-ttl 30s       short lives, to watch rotation
  trustplane up --config trustplane.yaml              flags win over the file`;

export function upCommand(io: Io): Command {
  const { dataDir, socket, adminSocket } = defaultPaths(io.uid, io.env);
  const command = new Command('up')
    .description('Run server and agent in one process on the embedded store.')
    .option('--config <file>', 'configuration file (YAML)')
    .option('--trust-domain <name>', 'trust domain (default: example.org)')
    .option('--data-dir <path>', `database and sealed keys (default: ${dataDir})`)
    .option('--socket <path>', `Unix socket of the Workload API and SDS (default: ${socket})`)
    .option('--admin-socket <path>', `Unix socket of the server API (default: ${adminSocket})`)
    .option(
      '--bind-address <address>',
      'IP address and port for agents on other hosts (default: none)',
    )
    .option(
      '--x509-svid-ttl <duration>',
      'life of an X509-SVID (default: 1h, or a sixth of --ca-ttl)',
    )
    .option('--ca-ttl <duration>', 'life of an X.509 authority (default: 24h)')
    .option('--log-level <level>', 'trace, debug, info, warn, error or fatal (default: info)')
    .addHelpText('after', EXAMPLES)
    .action((options: UpOptions) => runUp(io, options));
  return withOutput(command);
}

async function runUp(io: Io, options: UpOptions): Promise<void> {
  const [{ loadConfig }, { openFallbackFolder }, { startUp }] = await Promise.all([
    import('../app/load-config.ts'),
    import('../app/fallback-folder.ts'),
    import('../app/up.ts'),
  ]);
  const load = () => loadConfig(options, io.uid, io.env);
  const loaded = load();
  const { config } = loaded;
  openFallbackFolder(io.uid, [config.dataDir, config.socket, config.adminSocket]);
  const reloads = options.config !== undefined;
  const stop = stopSignal({ reloads });
  const up = await startUp(config);
  const ready = {
    ready: true,
    pid: process.pid,
    trustDomain: config.trustDomain.name,
    socket: config.socket,
    adminSocket: config.adminSocket,
    dataDir: config.dataDir,
    ...(up.address !== undefined && { address: formatAddress(up.address) }),
    ...(up.bundleEndpoint !== undefined && { bundleEndpoint: up.bundleEndpoint.url }),
  };
  const isEmpty = up.server.role.entries.count() === 0;
  if (options.output === 'json') io.out(`${JSON.stringify(ready)}\n`);
  else io.out(formatReady(config, io, isEmpty, up.address, up.bundleEndpoint));
  await serveUntilStopped(up, stop, loaded, reloads ? load : undefined);
}
