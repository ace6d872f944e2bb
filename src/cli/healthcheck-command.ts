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
  withSocket,
} from './options.ts';

interface HealthOptions extends AdminOptions, WorkloadOptions {
  readonly wait: number;
  readonly only?: 'server' | 'agent' | 'authz';
}

const EXAMPLES = `
Examples:
  trustplane healthcheck
  trustplane healthcheck --wait 30s                   after a start, in a script or unit file
  trustplane healthcheck --only agent                 on a host that runs no server
  trustplane healthcheck --only authz --socket /run/trustplane/authz.sock
  trustplane healthcheck --output json`;
const BETWEEN_TRIES_MS = 100;

export function healthcheckCommand(io: Io): Command {
  return withSocket(withAdminSocket(new Command('healthcheck'), io), io)
    .description(
      'Exit with 0 when the server API and the Workload API are serving, else say which is not.',
    )
    .addOption(
      new Option(
        '--only <part>',
        'where it runs without the others; --socket names that of authz',
      ).choices(['server', 'agent', 'authz']),
    )
    .addOption(
      new Option('--wait <duration>', 'try again until they are serving, for at most this long')
        .argParser(timeoutMs)
        .default(0, 'once'),
    )
    .addHelpText('after', EXAMPLES)
    .action((options: HealthOptions) => check(io, options));
}

async function check(io: Io, options: HealthOptions): Promise<void> {
  const { resolveUnixSocket } = await import('./endpoint.ts');
  const { only, adminSocket } = options;
  const socket = resolveUnixSocket(io, options.socket);
  const both = { server: adminSocket, agent: socket };
  const sockets = only === undefined ? both : { [only]: only === 'server' ? adminSocket : socket };
  const end = systemClock.now() + options.wait;
  let faults = await findFaults(sockets);
  while (faults.length > 0 && systemClock.now() < end) {
    await delay(BETWEEN_TRIES_MS);
    faults = await findFaults(sockets);
  }
  if (faults.length > 0) throw new TrustplaneError('ERR_UNHEALTHY', faults.join('; '));
  const parts = Object.keys(sockets);
  const serving = Object.fromEntries(parts.map((part) => [part, 'serving']));
  const text = `the ${parts.join(' and the ')} ${parts.length === 1 ? 'is' : 'are'} serving`;
  print(io, options.output, { healthy: true, ...serving }, text);
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
