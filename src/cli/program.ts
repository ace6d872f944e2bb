import tab from '@bomb.sh/tab/commander';
import { Command, CommanderError } from 'commander';
import { version } from '../app/version.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { agentCommand } from './agent-command.ts';
import { apiCommand } from './api-command.ts';
import { applyCommand, diffCommand } from './apply-command.ts';
import { auditCommand } from './audit-command.ts';
import { authorityCommand } from './authority-command.ts';
import { authzCommand } from './authz-command.ts';
import { backupCommand } from './backup-command.ts';
import { bundleCommand } from './bundle-command.ts';
import { configCommand } from './config-command.ts';
import { entryCommand } from './entry-command.ts';
import { envoyCommand } from './envoy-command.ts';
import { explainCommand } from './explain-command.ts';
import { exportCommand } from './export-command.ts';
import { federationCommand } from './federation-command.ts';
import { healthcheckCommand } from './healthcheck-command.ts';
import { importCommand } from './import-command.ts';
import { Finished, type Io, type OutputFormat, reportFailure } from './io.ts';
import { keysCommand } from './keys-command.ts';
import { logLevelCommand } from './log-level-command.ts';
import { natsCommand } from './nats-command.ts';
import { policyCommand } from './policy-command.ts';
import { restoreCommand } from './restore-command.ts';
import { revocationCommand } from './revocation-command.ts';
import { revokeCommand, unsuspendCommand } from './revoke-command.ts';
import { rotationCommand } from './rotation-command.ts';
import { serverCommand } from './server-command.ts';
import { statusCommand } from './status-command.ts';
import { storeCommand } from './store-command.ts';
import { svidCommand } from './svid-command.ts';
import { tokenCommand } from './token-command.ts';
import { upCommand } from './up-command.ts';

const EXAMPLES = `
Examples:
  trustplane up                                        server and agent in one process
  trustplane entry create --spiffe-id spiffe://example.org/web --selector unix:uid:1000
  trustplane api fetch x509 --write .                  svid.0.pem, svid.0.key, bundle.0.pem
  source <(trustplane completion bash)                 completion in this shell (bash, zsh, fish)

Exit codes: 0 done; 1 defect, or what lint and diff look for; 2 bad input; 3 not found;
4 exists already; 5 not allowed; 6 not authenticated; 7 refused as things stand; 8 changed meanwhile,
try again; 9 no room left; 10 not reachable or not serving; 11 not offered; 12 damaged data.`;

const COMPLETION_EXAMPLES = `
Examples:
  source <(trustplane completion bash)
  trustplane completion zsh > ~/.zfunc/_trustplane
  trustplane completion fish > ~/.config/fish/completions/trustplane.fish

In bash it needs the package bash-completion.`;

/** The whole command line. Commands load what they need when they run. */
export function createProgram(io: Io): Command {
  const program = new Command('trustplane')
    .description('SPIFFE identities for service meshes: an Envoy SDS and workload identity plane.')
    .version(version(), '-V, --version', 'print the version')
    .addHelpText('after', EXAMPLES)
    .showHelpAfterError('(see --help)')
    .configureOutput({ writeOut: io.out, writeErr: io.err });
  for (const create of [
    upCommand,
    serverCommand,
    entryCommand,
    applyCommand,
    diffCommand,
    exportCommand,
    importCommand,
    agentCommand,
    authzCommand,
    tokenCommand,
    authorityCommand,
    rotationCommand,
    revokeCommand,
    unsuspendCommand,
    revocationCommand,
    bundleCommand,
    federationCommand,
    svidCommand,
    apiCommand,
    auditCommand,
    statusCommand,
    explainCommand,
    healthcheckCommand,
    policyCommand,
    envoyCommand,
    logLevelCommand,
    configCommand,
    keysCommand,
    backupCommand,
    restoreCommand,
    storeCommand,
    natsCommand,
  ]) {
    program.addCommand(create(io));
  }
  tab(program, { completionCommandName: 'completion' });
  for (const command of everyCommand(program)) {
    command
      .helpOption('-h, --help', 'show this help')
      .exitOverride()
      .configureOutput({ writeOut: io.out, writeErr: io.err })
      .showHelpAfterError('(see --help)');
    if (command.commands.length > 0)
      command.helpCommand('help [command]', 'show the help of a command');
    if (command.name() === 'completion')
      command
        .description('Print a completion script for a shell.')
        .addHelpText('after', COMPLETION_EXAMPLES);
  }
  return program;
}

/** Runs one command line; returns the exit code. */
export async function run(io: Io, args: readonly string[]): Promise<number> {
  const format = formatOf(args);
  try {
    await createProgram(format === 'json' ? { ...io, err: () => {} } : io).parseAsync(args, {
      from: 'user',
    });
    return typeof process.exitCode === 'number' ? process.exitCode : 0;
  } catch (error) {
    if (error instanceof Finished) return error.exitCode;
    if (!(error instanceof CommanderError)) return await reportFailure(io, format, error);
    if (error.exitCode === 0) return 0;
    const usage = new TrustplaneError('ERR_USAGE', error.message.replace(/^error: /u, ''));
    // As text, commander has said it already.
    return format === 'json' ? await reportFailure(io, format, usage) : 2;
  }
}

function formatOf(args: readonly string[]): OutputFormat {
  const text = args.join(' ');
  return /(?:^| )(?:--output|-o)[= ]json(?: |$)/u.test(text) ? 'json' : 'text';
}

function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyCommand)];
}
