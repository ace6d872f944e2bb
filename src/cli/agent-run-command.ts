import { Command } from 'commander';
import { defaultPaths } from '../app/default-paths.ts';
import type { Io, OutputFormat } from './io.ts';
import { collect, withOutput } from './options.ts';
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
  readonly socket?: string;
  readonly logLevel?: string;
}

const EXAMPLES = `
Examples:
  trustplane agent run --server server.example:8081 --bundle-file bundle.pem --join-token 0f3c
  trustplane agent run --server 10.0.0.1:8081 --server 10.0.0.2:8081 --config trustplane.yaml
  trustplane agent run --config trustplane.yaml       flags win over the file`;

export function agentRunCommand(io: Io): Command {
  const { agentDataDir, socket } = defaultPaths(io.uid, io.env);
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
    .option('--socket <path>', `Unix socket of Workload API and SDS (default: ${socket})`)
    .option('--log-level <level>', 'trace, debug, info, warn, error or fatal (default: info)')
    .addHelpText('after', EXAMPLES)
    .action((options: RunOptions) => runAgent(io, options));
  return withOutput(command);
}

async function runAgent(io: Io, options: RunOptions): Promise<void> {
  const [{ buildConfig, loadConfigFile }, { openFallbackFolder }, { startAgent }] =
    await Promise.all([
      import('../app/config.ts'),
      import('../app/fallback-folder.ts'),
      import('../app/agent-run.ts'),
    ]);
  const file = options.config === undefined ? {} : loadConfigFile(options.config, io.env);
  const { dataDir, server, ...flags } = options;
  const all = { ...flags, agentDataDir: dataDir, servers: server };
  const config = buildConfig(all, file, defaultPaths(io.uid, io.env));
  openFallbackFolder(io.uid, [config.agentDataDir, config.socket]);
  const stop = stopSignal();
  const agent = await startAgent(config);
  const joined = agent.node.ready.then(() => 'ready' as const);
  let reason = await Promise.race([stop, agent.failed, joined]);
  if (reason === 'ready') {
    const { agentId, server: connected } = agent.node.status();
    const { trustDomain, socket, agentDataDir } = config;
    const { pid } = process;
    const id = agentId?.toString() ?? '';
    io.out(
      options.output === 'json'
        ? `${JSON.stringify({
            ready: true,
            pid,
            trustDomain: trustDomain.name,
            agentId: id,
            server: connected,
            socket,
            dataDir: agentDataDir,
          })}\n`
        : [
            `trustplane is ready for the trust domain ${trustDomain.name}`,
            `  agent                 ${id}`,
            `  server                ${connected ?? 'none answers yet'}`,
            `  Workload API and SDS  unix://${socket}`,
            `  data directory        ${agentDataDir}`,
            '',
          ].join('\n'),
    );
    reason = await Promise.race([stop, agent.failed]);
  }
  await agent.close();
  if (reason instanceof Error) throw reason;
}
