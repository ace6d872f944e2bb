import { Command } from 'commander';
import type { Io } from './io.ts';
import { natsConfigCommand } from './nats-config-command.ts';
import { natsFollowCommand } from './nats-follow-command.ts';
import { natsNkeyCommand } from './nats-nkey-command.ts';

const EXAMPLES = `
Examples:
  trustplane nats config --trust-domain example.org --dir /etc/nats
  trustplane nats follow --dir /etc/nats --pid-file /etc/nats/nats-server.pid
  nats-server --config /etc/nats/nats-server.conf`;

export function natsCommand(io: Io): Command {
  return new Command('nats')
    .description('Run nats-servers for trustplane: their configuration, SVIDs and keys.')
    .addHelpText('after', EXAMPLES)
    .addCommand(natsConfigCommand(io))
    .addCommand(natsFollowCommand(io))
    .addCommand(natsNkeyCommand(io));
}
