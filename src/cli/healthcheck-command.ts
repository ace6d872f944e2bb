import { Command } from 'commander';
import { TrustplaneError } from '../spiffe/index.ts';
import { type Io, print } from './io.ts';
import {
  type AdminOptions,
  type WorkloadOptions,
  withAdminSocket,
  withWorkloadSocket,
} from './options.ts';

export function healthcheckCommand(io: Io): Command {
  const command = withAdminSocket(new Command('healthcheck'), io)
    .description(
      'Exit with 0 when the server API and the Workload API are serving, else say which is not.',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  trustplane healthcheck\n  trustplane healthcheck --output json',
    );
  const socket = withWorkloadSocket(new Command(), io).options.find(
    (option) => option.long === '--socket',
  );
  if (socket !== undefined) command.addOption(socket);
  return command.action((options: AdminOptions & WorkloadOptions) => check(io, options));
}

async function check(io: Io, options: AdminOptions & WorkloadOptions): Promise<void> {
  const [{ checkHealth }, { resolveEndpoint }] = await Promise.all([
    import('../client/index.ts'),
    import('./endpoint.ts'),
  ]);
  const endpoint = resolveEndpoint(io, options.socket);
  if (endpoint.kind !== 'unix')
    throw new TrustplaneError('ERR_USAGE', `--socket names a Unix socket; got ${endpoint.host}`);
  const probes = {
    server: options.adminSocket,
    agent: endpoint.path,
  };
  const results = await Promise.all(
    Object.entries(probes).map(async ([part, path]) => [part, await checkHealth(path)] as const),
  );
  const failed = results.filter(([, problem]) => problem !== undefined);
  if (failed.length > 0) {
    throw new TrustplaneError(
      'ERR_UNHEALTHY',
      failed.map(([part, problem]) => `the ${part} is not serving: ${problem ?? ''}`).join('; '),
    );
  }
  print(
    io,
    options.output,
    { healthy: true, server: 'serving', agent: 'serving' },
    'the server and the agent are serving',
  );
}
