import { Command } from 'commander';
import { bootstrapCommand } from './envoy-bootstrap-command.ts';
import { envoyLintCommand } from './envoy-lint-command.ts';
import type { Io } from './io.ts';

const EXAMPLES = `
Examples:
  trustplane envoy bootstrap --spiffe-id spiffe://example.org/server > envoy.yaml
  trustplane envoy lint envoy.yaml`;

export function envoyCommand(io: Io): Command {
  return new Command('envoy')
    .description('Write configurations of Envoy, and find what is dangerous in others.')
    .addHelpText('after', EXAMPLES)
    .addCommand(bootstrapCommand(io))
    .addCommand(envoyLintCommand(io));
}
