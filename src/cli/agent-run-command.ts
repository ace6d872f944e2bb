import { Command } from 'commander';
import type { NodeStatus } from '../app/agent-run.ts';
import type { Config } from '../app/config.ts';
import { defaultPaths } from '../app/default-paths.ts';
import type { Io, OutputFormat } from './io.ts';
import { collect, withOutput } from './options.ts';
import { serveUntilStopped } from './serve-until-stopped.ts';
import { stopSignal } from './stop-signal.ts';

interface RunOptions {
  readonly output: OutputFormat;
  readonly config?: string;
  readonly trustDomain?: string;
  readonly server?: readonly string[];
  readonly bundleFile?: string;
  readonly insecureBootstrap?: boolean;
  readonly joinToken?: string;
  readonly dataDir?: string;
  readonly cacheKeyFile?: string;
  readonly socket?: string;
  readonly logLevel?: string;
}

const EXAMPLES = `
Examples:
  trustplane agent run --server server.example:8081 --bundle-file bundle.pem --join-token 0f3c
  trustplane agent run --server 10.0.0.1:8081 --server 10.0.0.2:8081 --config trustplane.yaml
  trustplane agent run --config trustplane.yaml       flags win over the file`;

export function agentRunCommand(io: Io): Command {
  const { agentDataDir, agentCacheKeyFile, socket } = defaultPaths(io.uid, io.env);
  const command = new Command('run')
    .description('Run the agent of this host: it joins a trust domain and serves its workloads.')
    .option('--config <file>', 'configuration file (YAML)')
    .option('--trust-domain <name>', 'trust domain (default: example.org)')
    .option(
      '--server <address>',
      'host and port of a server, may be repeated (default: 127.0.0.1:8081)',
      collect,
    )
    .option('--bundle-file <file>', 'bundle that the first server is judged by')
    .option('--insecure-bootstrap', 'believe the first server that answers, for trying out')
    .option('--join-token <token>', 'token to join with, as `token generate` prints it')
    .option('--data-dir <path>', `state of the agent (default: ${agentDataDir})`)
    .option(
      '--cache-key-file <file>',
      `key of what it keeps over a restart (default: ${agentCacheKeyFile})`,
    )
    .option('--socket <path>', `Unix socket of Workload API and SDS (default: ${socket})`)
    .option('--log-level <level>', 'trace, debug, info, warn, error or fatal (default: info)')
    .addHelpText('after', EXAMPLES)
    .action((options: RunOptions) => runAgent(io, options));
  return withOutput(command);
}

async function runAgent(io: Io, options: RunOptions): Promise<void> {
  const [{ loadConfig }, { openFallbackFolder }, { startAgent }] = await Promise.all([
    import('../app/load-config.ts'),
    import('../app/fallback-folder.ts'),
    import('../app/agent-run.ts'),
  ]);
  const { dataDir, server, ...flags } = options;
  const load = () =>
    loadConfig({ ...flags, agentDataDir: dataDir, servers: server }, io.uid, io.env);
  const loaded = load();
  const { config } = loaded;
  const { agentDataDir, agentCache, socket } = config;
  openFallbackFolder(io.uid, [agentDataDir, agentCache?.keyFile ?? agentDataDir, socket]);
  const reloads = options.config !== undefined;
  const stop = stopSignal({ reloads });
  const agent = await startAgent(config);
  // A failure to join ends the process below.
  void agent.node.ready.then(
    () => io.out(formatJoined(agent.node.status(), config, options.output)),
    () => {},
  );
  await serveUntilStopped(agent, stop, loaded, reloads ? load : undefined);
}

/** What is printed once the agent is a member of the trust domain. */
function formatJoined(
  { agentId, server }: NodeStatus,
  { trustDomain, socket, agentDataDir }: Config,
  output: OutputFormat,
): string {
  const id = agentId?.toString() ?? '';
  if (output === 'json') {
    const [name, dataDir, { pid }] = [trustDomain.name, agentDataDir, process];
    const ready = { ready: true, pid, trustDomain: name, agentId: id, server, socket, dataDir };
    return `${JSON.stringify(ready)}\n`;
  }
  return [
    `trustplane is ready for the trust domain ${trustDomain.name}`,
    `  agent                 ${id}`,
    `  server                ${server ?? 'none answers yet'}`,
    `  Workload API and SDS  unix://${socket}`,
    `  data directory        ${agentDataDir}`,
    '',
  ].join('\n');
}
