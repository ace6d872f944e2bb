import { Command, Option } from 'commander';
import type { WorkloadApiClient, X509Context, X509WatchEvent } from '../client/index.ts';
import { fetchJwtCommand, validateCommand } from './api-jwt-command.ts';
import { type Io, print } from './io.ts';
import { count, timeoutMs, type WorkloadOptions, withWorkloadSocket } from './options.ts';
import { formatFields } from './table.ts';

interface FetchOptions extends WorkloadOptions {
  readonly write?: string;
  readonly timeout: number;
}

interface WatchOptions extends WorkloadOptions {
  readonly count?: number;
}

const EXAMPLES = `
Examples:
  trustplane api fetch x509
  trustplane api fetch jwt --audience spiffe://example.org/db
  trustplane api watch`;

const FETCH_EXAMPLES = `
Examples:
  trustplane api fetch x509
  trustplane api fetch x509 --write /tmp              svid.0.pem, svid.0.key, bundle.0.pem
  SPIFFE_ENDPOINT_SOCKET=unix:///run/spire/agent.sock trustplane api fetch x509`;

const WATCH_EXAMPLES = `
Examples:
  trustplane api watch
  trustplane api watch --output json | jq .svids[0].expiresAt`;

export function apiCommand(io: Io): Command {
  const fetch = new Command('fetch')
    .description('Fetch from the Workload API, as the process that runs this command.')
    .addHelpText('after', FETCH_EXAMPLES)
    .addCommand(
      withWorkloadSocket(new Command('x509'), io)
        .description('Fetch and verify the X509-SVIDs and bundles of this process.')
        .option(
          '--write <dir>',
          'write svid.N.pem, svid.N.key, bundle.N.pem and federated_bundle.N.M.pem',
        )
        .addOption(
          new Option('--timeout <duration>', 'how long to wait for the answer')
            .argParser(timeoutMs)
            .default(5_000, '5s'),
        )
        .addHelpText('after', FETCH_EXAMPLES)
        .action((options: FetchOptions) =>
          withClient(io, options, (client) => fetchX509(io, client, options)),
        ),
    )
    .addCommand(fetchJwtCommand(io, (options, act) => withClient(io, options, act)));
  const watch = withWorkloadSocket(new Command('watch'), io)
    .description('Print every update of the X509-SVIDs of this process until interrupted.')
    .option('--count <n>', 'end after this many updates', count(1))
    .addHelpText('after', WATCH_EXAMPLES)
    .action((options: WatchOptions) =>
      withClient(io, options, (client) => watchX509(io, client, options)),
    );
  return new Command('api')
    .description('Use the Workload API as a workload would.')
    .addHelpText('after', EXAMPLES)
    .addCommand(fetch)
    .addCommand(validateCommand(io, (options, act) => withClient(io, options, act)))
    .addCommand(watch);
}

async function withClient(
  io: Io,
  options: WorkloadOptions,
  act: (client: WorkloadApiClient) => Promise<void>,
): Promise<void> {
  const [{ createWorkloadApiClient }, { resolveEndpoint }, { systemClock }] = await Promise.all([
    import('../client/index.ts'),
    import('./endpoint.ts'),
    import('../ops/system-clock.ts'),
  ]);
  const client = createWorkloadApiClient({
    address: resolveEndpoint(io, options.socket),
    clock: systemClock,
    random: Math.random,
  });
  try {
    await act(client);
  } finally {
    client.close();
  }
}

async function fetchX509(io: Io, client: WorkloadApiClient, options: FetchOptions): Promise<void> {
  const context = await client.fetchX509(options.timeout);
  const files =
    options.write === undefined
      ? []
      : await (await import('./x509-files.ts')).writeX509Files(options.write, context);
  const view = { ...describe(context), files };
  const written = files.map((file) => `wrote ${file}`).join('\n');
  const parts = [...view.svids.map(formatSvid), ...(files.length > 0 ? [written] : [])];
  print(io, options.output, view, parts.join('\n\n'));
}

async function watchX509(io: Io, client: WorkloadApiClient, options: WatchOptions): Promise<void> {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  let seen = 0;
  let trouble: string | undefined;
  for await (const event of client.watchX509(stop.signal)) {
    const before = trouble;
    trouble = event.type === 'update' ? undefined : event.error.message;
    if (options.output === 'json') io.out(`${JSON.stringify(eventView(event))}\n`);
    // Each attempt to reconnect tells the same again; people need it once.
    else if (trouble === undefined || trouble !== before) io.out(`${formatEvent(event)}\n`);
    if (event.type === 'update' && ++seen === options.count) return;
  }
}

interface SvidView {
  readonly spiffeId: string;
  readonly hint: string;
  readonly serialNumber: string;
  readonly notBefore: string;
  readonly expiresAt: string;
  readonly bundleAuthorities: number;
}

function describe(context: X509Context): {
  svids: SvidView[];
  bundles: { trustDomain: string; authorities: number }[];
} {
  return {
    svids: context.svids.map(({ svid, hint }) => ({
      spiffeId: svid.spiffeId.toString(),
      hint,
      serialNumber: svid.leaf.serialNumber,
      notBefore: new Date(svid.leaf.notBefore).toISOString(),
      expiresAt: new Date(svid.leaf.notAfter).toISOString(),
      bundleAuthorities:
        context.bundles.get(svid.spiffeId.trustDomain.name)?.x509Authorities.length ?? 0,
    })),
    bundles: Array.from(context.bundles.values(), ({ trustDomain, x509Authorities }) => ({
      trustDomain: trustDomain.name,
      authorities: x509Authorities.length,
    })),
  };
}

function formatSvid(svid: SvidView): string {
  return formatFields([
    ['SPIFFE ID', svid.spiffeId],
    ['Hint', svid.hint],
    ['Serial number', svid.serialNumber],
    ['Valid from', svid.notBefore],
    ['Valid until', svid.expiresAt],
    ['Authorities', String(svid.bundleAuthorities)],
  ]);
}

function eventView(event: X509WatchEvent): object {
  const time = new Date().toISOString();
  if (event.type === 'update') return { type: event.type, time, ...describe(event.context) };
  return {
    type: event.type,
    time,
    error: { code: event.error.code, message: event.error.message },
  };
}

function formatEvent(event: X509WatchEvent): string {
  const time = new Date().toISOString();
  if (event.type !== 'update')
    return `${time}  ${event.type}: ${event.error.message} (${event.error.code})`;
  const svids = describe(event.context).svids.map(
    (svid) =>
      `${svid.spiffeId}  serial ${svid.serialNumber}  until ${svid.expiresAt}  authorities ${svid.bundleAuthorities}`,
  );
  return `${time}  ${svids.join(`\n${' '.repeat(time.length)}  `)}`;
}
