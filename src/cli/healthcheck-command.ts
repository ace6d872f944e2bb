import { setTimeout as delay } from 'node:timers/promises';
import { Command, Option } from 'commander';
import { systemClock } from '../ops/system-clock.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { type Io, print } from './io.ts';
import {
  type AdminOptions,
  timeoutMs,
  type WorkloadOptions,
  withAdminSocket,
  withWorkloadSocket,
} from './options.ts';

interface HealthOptions extends AdminOptions, WorkloadOptions {
  readonly wait: number;
}

const EXAMPLES = `
Examples:
  trustplane healthcheck
  trustplane healthcheck --wait 30s                   after a start, in a script or unit file
  trustplane healthcheck --output json`;
const BETWEEN_TRIES_MS = 100;

export function healthcheckCommand(io: Io): Command {
  const command = withAdminSocket(new Command('healthcheck'), io)
    .description(
      'Exit with 0 when the server API and the Workload API are serving, else say which is not.',
    )
    .addOption(
      new Option('--wait <duration>', 'try again until both are serving, for at most this long')
        .argParser(timeoutMs)
        .default(0, 'once'),
    )
    .addHelpText('after', EXAMPLES);
  const socket = withWorkloadSocket(new Command(), io).options.find(
    (option) => option.long === '--socket',
  );
  if (socket !== undefined) command.addOption(socket);
  return command.action((options: HealthOptions) => check(io, options));
}

async function check(io: Io, options: HealthOptions): Promise<void> {
  const { resolveEndpoint } = await import('./endpoint.ts');
  const endpoint = resolveEndpoint(io, options.socket);
  if (endpoint.kind !== 'unix')
    throw new TrustplaneError('ERR_USAGE', `--socket names a Unix socket; got ${endpoint.host}`);
  const sockets = { server: options.adminSocket, agent: endpoint.path };
  const end = systemClock.now() + options.wait;
  let faults = await findFaults(sockets);
  while (faults.length > 0 && systemClock.now() < end) {
    await delay(BETWEEN_TRIES_MS);
    faults = await findFaults(sockets);
  }
  if (faults.length > 0) throw new TrustplaneError('ERR_UNHEALTHY', faults.join('; '));
  print(
    io,
    options.output,
    { healthy: true, server: 'serving', agent: 'serving' },
    'the server and the agent are serving',
  );
}

/** What is wrong with each part that is not serving. */
async function findFaults(sockets: Readonly<Record<string, string>>): Promise<string[]> {
  const { checkHealth } = await import('../client/index.ts');
  const checks = Object.entries(sockets).map(async ([part, path]) => {
    const problem = await checkHealth(path);
    return problem === undefined ? [] : [`the ${part} is not serving: ${problem}`];
  });
  return (await Promise.all(checks)).flat();
}
