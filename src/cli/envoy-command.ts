import { Command } from 'commander';
import { bootstrapCommand } from './envoy-bootstrap-command.ts';
import type { Io } from './io.ts';

const EXAMPLES = `
Examples:
  trustplane envoy bootstrap --spiffe-id spiffe://example.org/server > envoy.yaml`;

export function envoyCommand(io: Io): Command {
  return new Command('envoy')
    .description('Write configurations of Envoy.')
    .addHelpText('after', EXAMPLES)
    .addCommand(bootstrapCommand(io));
}
