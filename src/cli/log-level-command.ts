import { Argument, Command } from 'commander';
import type { LoggerClient, LoggerState } from '../client/index.ts';
import { logLevels } from '../ops/log-levels.ts';
import { type Io, print } from './io.ts';
import { type AdminOptions, withAdminSocket } from './options.ts';

const EXAMPLES = `
Examples:
  trustplane log-level get
  trustplane log-level set debug                      until it is reset, reloaded or started again
  trustplane log-level reset                          back to what is configured`;

export function logLevelCommand(io: Io): Command {
  const subcommand = (name: string, description: string): Command =>
    withAdminSocket(new Command(name), io).description(description).addHelpText('after', EXAMPLES);
  return new Command('log-level')
    .description('Show or change what a running server logs.')
    .addHelpText('after', EXAMPLES)
    .addCommand(
      subcommand('get', 'Show the level.').action((options: AdminOptions) =>
        tell(io, options, (client) => client.get()),
      ),
    )
    .addCommand(
      subcommand('set', 'Set the level for now.')
        .addArgument(new Argument('<level>', 'least level that is logged').choices(logLevels))
        .action((level: string, options: AdminOptions) =>
          tell(io, options, (client) => client.set(level)),
        ),
    )
    .addCommand(
      subcommand('reset', 'Set the level to the configured one.').action((options: AdminOptions) =>
        tell(io, options, (client) => client.reset()),
      ),
    );
}

async function tell(
  io: Io,
  { adminSocket, output }: AdminOptions,
  ask: (client: LoggerClient) => Promise<LoggerState>,
): Promise<void> {
  const { createLoggerClient } = await import('../client/index.ts');
  const client = createLoggerClient(adminSocket);
  try {
    const state = await ask(client);
    print(io, output, state, `${state.current} (configured: ${state.configured})`);
  } finally {
    client.close();
  }
}
