import { Command } from 'commander';
import type { Config } from '../app/config.ts';
import { defaultPaths } from '../app/default-paths.ts';
import { jwksCommand } from './authz-jwks-command.ts';
import type { Io, OutputFormat } from './io.ts';
import { withOutput } from './options.ts';
import { formatAddress } from './ready-text.ts';
import { serveUntilStopped } from './serve-until-stopped.ts';
import { stopSignal } from './stop-signal.ts';

interface RunOptions {
  readonly output: OutputFormat;
  readonly config?: string;
  readonly trustDomain?: string;
  readonly socket?: string;
  readonly logLevel?: string;
}

const EXAMPLES = `
Examples:
  trustplane authz run --config /etc/trustplane/authz.yaml
  trustplane authz run --config authz.yaml --socket /run/trustplane/agent.sock`;

export function authzCommand(io: Io): Command {
  return new Command('authz')
    .description('Answer proxies that ask about requests (ext_authz), in a process of its own.')
    .addHelpText('after', '\nExamples:\n  trustplane authz run --config authz.yaml')
    .addCommand(runCommand(io))
    .addCommand(jwksCommand(io));
}

function runCommand(io: Io): Command {
  const { socket } = defaultPaths(io.uid, io.env);
  const command = new Command('run')
    .description(
      'Run it: the section authz of the file says where proxies ask and by which policies.',
    )
    .option('--config <file>', 'configuration file (YAML) with a section authz')
    .option('--trust-domain <name>', 'trust domain (default: example.org)')
    .option('--socket <path>', `Unix socket of the agent that it goes by (default: ${socket})`)
    .option('--log-level <level>', 'trace, debug, info, warn, error or fatal (default: info)')
    .addHelpText('after', EXAMPLES)
    .action((options: RunOptions) => runAuthz(io, options));
  return withOutput(command);
}

async function runAuthz(io: Io, options: RunOptions): Promise<void> {
  // While this thread loads its own code: after a crash every request is denied until they are there.
  const { authzThread, beginThread, compilerThread } = await import('../app/start-thread.ts');
  beginThread(authzThread);
  beginThread(compilerThread);
  const [{ loadConfig }, { startAuthzRun }] = await Promise.all([
    import('../app/load-config.ts'),
    import('../app/authz-run.ts'),
  ]);
  const load = () => loadConfig(options, io.uid, io.env);
  const loaded = load();
  const reloads = options.config !== undefined;
  const stop = stopSignal({ reloads });
  const running = await startAuthzRun(loaded.config);
  void running.informed.then(() => io.out(formatReady(loaded.config, options.output)));
  await serveUntilStopped(running, stop, loaded, reloads ? load : undefined);
}

/** What is printed once it goes by what the agent knows. */
function formatReady({ authz, trustDomain, socket }: Config, output: OutputFormat): string {
  const { socket: checks, listen } = authz ?? {};
  const address = listen && formatAddress(listen);
  if (output === 'json') {
    const { pid } = process;
    const where = {
      ...(checks && { authzSocket: checks }),
      ...(address && { authzAddress: address }),
    };
    const ready = { ready: true, pid, trustDomain: trustDomain.name, ...where, socket };
    return `${JSON.stringify(ready)}\n`;
  }
  return [
    `trustplane answers proxies for the trust domain ${trustDomain.name}`,
    ...(checks === undefined ? [] : [`  ext_authz  unix://${checks}`]),
    ...(address === undefined ? [] : [`  ext_authz  ${address}`]),
    `  agent      unix://${socket}`,
    '',
  ].join('\n');
}
