import { Argument, Command } from 'commander';
import type { LoggerClient, LoggerState } from '../client/index.ts';
import { logLevels } from '../ops/log-levels.ts';
import { type Io, print } from './io.ts';
import { type AdminOptions, type WorkloadOptions, withAdminSocket, withSocket } from './options.ts';

interface LogLevelOptions extends AdminOptions, WorkloadOptions {
  readonly agent?: boolean;
}

const EXAMPLES = `
Examples:
  trustplane log-level get
  trustplane log-level set debug                      until it is reset, reloaded or started again
  trustplane log-level reset                          back to what is configured
  trustplane log-level set debug --agent              of the agent of this host`;

export function logLevelCommand(io: Io): Command {
  const subcommand = (name: string, description: string): Command =>
    withSocket(withAdminSocket(new Command(name), io), io)
      .option('--agent', 'of the agent at --socket')
      .description(description)
      .addHelpText('after', EXAMPLES);
  return new Command('log-level')
    .description('Show or change what a running server or agent logs.')
    .addHelpText('after', EXAMPLES)
    .addCommand(
      subcommand('get', 'Show the level.').action((options: LogLevelOptions) =>
        tell(io, options, (client) => client.get()),
      ),
    )
    .addCommand(
      subcommand('set', 'Set the level for now.')
        .addArgument(new Argument('<level>', 'least level that is logged').choices(logLevels))
        .action((level: string, options: LogLevelOptions) =>
          tell(io, options, (client) => client.set(level)),
        ),
    )
    .addCommand(
      subcommand('reset', 'Set the level to the configured one.').action(
        (options: LogLevelOptions) => tell(io, options, (client) => client.reset()),
      ),
    );
}

async function tell(
  io: Io,
  options: LogLevelOptions,
  ask: (client: LoggerClient) => Promise<LoggerState>,
): Promise<void> {
  const [{ createLoggerClient }, { resolveUnixSocket }] = await Promise.all([
    import('../client/index.ts'),
    import('./endpoint.ts'),
  ]);
  const client =
    options.agent === true
      ? createLoggerClient(resolveUnixSocket(io, options.socket), 'agent')
      : createLoggerClient(options.adminSocket, 'server');
  try {
    const state = await ask(client);
    print(io, options.output, state, `${state.current} (configured: ${state.configured})`);
  } finally {
    client.close();
  }
}
